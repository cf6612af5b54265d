#!/bin/sh
# Builds the C half of the bridge as a plain extension for PYTHON, and tests it with a front in Python.
#
#   run.sh PYTHON [PYTEST ARGUMENT...]
#
# PYTHON must have pytest; uvloop, anyio and a2wsgi take part in the tests if they are there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$here/build.sh" "$python" "$folder"
PYTHONPATH=$folder PYTHONDONTWRITEBYTECODE=1 "$python" -X faulthandler -m pytest -c "$here/pytest.ini" "$here" "$@"
