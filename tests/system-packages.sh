#!/bin/sh
# Sees to the Debian packages that building and testing goasgi needs.
#
#   system-packages.sh [PYTHON | COMMAND]...
#
# A PYTHON (a path) must be able to make virtual environments and to compile
# extensions; a COMMAND (a bare name) must be there. What is missing is
# installed if this is root on a Debian, else named in a message.
set -eu

missing=
need() { missing="$missing $*"; }

command -v cc >/dev/null || need gcc libc6-dev
command -v go >/dev/null || { echo "Go is missing: https://go.dev/dl/" >&2; exit 1; }
for arg; do
    case $arg in
    */*)
        version=$("$arg" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
        "$arg" -c 'import ensurepip, venv' 2>/dev/null || need "$version-venv"
        "$arg" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || need "$version-dev"
        ;;
    *) command -v "$arg" >/dev/null || need "$arg" ;;
    esac
done

[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing$missing"
    apt-get -qq update
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null
else
    echo "Packages are missing; on Debian, as root: apt-get install -y$missing" >&2
    exit 1
fi
