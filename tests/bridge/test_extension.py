"""The C half of the bridge is a plain CPython extension without Go: it compiles with nothing but a C compiler and the
headers of this Python, and needs no libpython."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent

CHECK = """
import goasgi._bridge as b
assert [b.STARTED, b.FAILED, b.STOPPED, b.LOG, b.SIGNALS] == [1, 2, 3, 4, 5]
assert [b.STOP, b.SIGNAL, b.FATAL] == [1, 2, 3]
assert issubclass(b.ClientDisconnected, OSError)
assert b.attach.__text_signature__ == "(memory, worker, front, header_names)"
print(b.__file__)
"""


@pytest.fixture(scope="module")
def extension(tmp_path_factory):
    folder = tmp_path_factory.mktemp("extension")
    warnings = subprocess.run(
        [HERE / "build.sh", sys.executable, folder, "-Werror"], check=True, capture_output=True, text=True
    )
    assert warnings.stderr == ""
    return folder


def imported(extension, script):
    environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "PYTHONPATH": str(extension)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_builds_and_imports(extension):
    assert imported(extension, CHECK).strip() == str(extension / "goasgi" / "_bridge.so")


def test_needs_no_libpython_and_no_go(extension):
    tool = shutil.which("readelf")
    assert tool is not None, "binutils, which came with the C compiler"
    dynamic = subprocess.run(
        [tool, "-d", extension / "goasgi" / "_bridge.so"], check=True, capture_output=True, text=True
    )
    assert "libpython" not in dynamic.stdout
    symbols = subprocess.run(
        [tool, "--dyn-syms", "-W", extension / "goasgi" / "_bridge.so"], check=True, capture_output=True, text=True
    ).stdout
    exported = [line.split()[-1] for line in symbols.splitlines() if " GLOBAL " in line and " UND " not in line]
    assert exported == ["PyInit__bridge"]


def test_imports_again(extension):
    """Module state belongs to the interpreter: a second import of the same file is a module of its own."""
    imported(
        extension,
        "import sys, goasgi._bridge as a; del sys.modules['goasgi._bridge']; del sys.modules['goasgi'].__dict__['_bridge']\n"
        "import goasgi._bridge as b; assert a is not b and a.ClientDisconnected is not b.ClientDisconnected",
    )


@pytest.mark.skipif(sys.version_info < (3, 13), reason="_interpreters has its present form since CPython 3.13")
def test_subinterpreters(extension):
    """Each interpreter may import it; the end of one does no harm to others."""
    imported(
        extension,
        "import _interpreters, goasgi._bridge\n"
        "for _ in range(20):\n"
        "    one = _interpreters.create('legacy')\n"
        "    assert _interpreters.run_string(one, 'import goasgi._bridge') is None\n"
        "    _interpreters.destroy(one)\n"
        "assert issubclass(goasgi._bridge.ClientDisconnected, OSError)\n",
    )
