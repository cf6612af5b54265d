#!/bin/sh
# Builds the C half of the bridge as a plain CPython extension, without Go: FOLDER/goasgi/_bridge.so.
#
#   build.sh PYTHON FOLDER [COMPILER FLAG...]
set -eu
python=$1 folder=$2
shift 2
sources=$(cd "$(dirname "$0")/../../bridge/cpython" && pwd)
include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
mkdir -p "$folder/goasgi"
: >"$folder/goasgi/__init__.py" # a package of its own, before one that is installed
cd "$sources"
# shellcheck disable=SC2046  # a list of files
exec ${CC:-cc} -std=c11 -O2 -g -Wall -Wextra -Wno-cast-function-type -Wno-missing-field-initializers \
    -fPIC -shared -fvisibility=hidden "-I$include" "$@" $(ls ./*.c | grep -v '^./embed') -o "$folder/goasgi/_bridge.so"
