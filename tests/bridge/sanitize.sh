#!/bin/sh
# The tests of the C half of the bridge under AddressSanitizer and UndefinedBehaviorSanitizer.
#
#   sanitize.sh PYTHON [PYTEST ARGUMENT...]
#
# PYTHON must have pytest. Leaks are looked for by the tests themselves: CPython keeps too much until the end of the
# process for LeakSanitizer. CALLS and GARBAGE (how many calls and records a test makes) are smaller than without.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$here/build.sh" "$python" "$folder" -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
asan=$(${CC:-cc} -print-file-name=libasan.so)
ubsan=$(${CC:-cc} -print-file-name=libubsan.so)
LD_PRELOAD="$asan $ubsan" PYTHONMALLOC=malloc \
    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=0:abort_on_error=0 \
    UBSAN_OPTIONS=print_stacktrace=1 \
    CALLS="${CALLS:-500}" GARBAGE="${GARBAGE:-500}" \
    PYTHONPATH=$folder PYTHONDONTWRITEBYTECODE=1 \
    "$python" -X faulthandler -m pytest -c "$here/pytest.ini" "$here" "$@"
