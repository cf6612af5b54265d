"""A record that does not add up ends the link with BUG:, a dump of the record and FATAL; it never ends the process."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
COUNT = os.environ.get("GARBAGE", "2000")


def start(program, *arguments):
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", HERE / program, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))},
        capture_output=True,
        text=True,
        errors="replace",
    )


def feed(*arguments):
    done = start("garbage.py", *arguments)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr[-3000:])
    cases, fatal = map(int, done.stdout.split())
    lines = done.stderr.splitlines()
    assert sum(line.startswith("BUG: goasgi: ") for line in lines) == fatal
    assert not re.search(r"Fatal Python error|AddressSanitizer|runtime error", done.stderr)
    errors = (re.match(r"(\w+(?:Error|Exception|Exit))\b", line) for line in lines)
    raised = {match[1] for match in errors if match}
    assert raised <= {"SystemError"}
    return cases, fatal, lines


def test_fields():
    cases, fatal, lines = feed("fields")
    assert cases > 500 and fatal > 100
    dumps = [line for line in lines if re.fullmatch(r"([0-9a-f]{2} ?){16}", line)]
    assert len(dumps) >= 4 * (fatal - 10)


@pytest.mark.parametrize("kind", ["bytes", "random", "cursors"])
@pytest.mark.parametrize("seed", ["1", "2"])
def test_random(kind, seed):
    cases, fatal, _ = feed(kind, seed, COUNT)
    assert cases >= int(COUNT) and fatal > int(COUNT) // 10


@pytest.mark.skipif(not importlib.util.find_spec("_testcapi"), reason="this Python comes without _testcapi")
@pytest.mark.parametrize("kind", ["plain", "waits", "several"])
def test_no_memory(kind):
    """Each allocation of a request fails in turn."""
    done = start("nomemory.py", kind, "300")
    assert done.returncode == 0 and done.stdout == "survived\n", (done.returncode, done.stdout, done.stderr[-3000:])
