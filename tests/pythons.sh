#!/bin/sh
# Prints the CPythons that goasgi can be built for and tested with, a line each: LABEL=PATH.
#
#   pythons.sh            all that this machine has, one for each version, the newest first
#   pythons.sh PYTHON...  these; fails with a message if one of them will not do
set -u

probe='
import os, sys
if sys.implementation.name != "cpython" or sys.version_info < (3, 11):
    sys.exit("expected CPython 3.11 or newer, got %s %s" % (sys.implementation.name, sys.version.split()[0]))
distribution = sys.base_prefix == "/usr"
print("%d.%d%s=%s" % (*sys.version_info[:2], "-system" if distribution else "", sys.executable))'

if [ $# -gt 0 ]; then
    for python; do
        "$python" -c "$probe" || { echo "$python cannot be used; name another Python: make PYTHON=..." >&2; exit 1; }
    done
    exit
fi

for python in python3 python3.11 python3.12 python3.13 python3.14 python3.15 /usr/bin/python3 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python3; do
    "$python" -c "$probe" 2>/dev/null
done | sort -t= -u -k1,1 | sort -t. -k2,2nr
