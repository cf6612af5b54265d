"""What is in the installed package."""

import ast
import importlib.metadata
import pathlib
import re
import subprocess
import sys

import goasgi
import process
import pytest

FILES = pathlib.Path(goasgi.__file__).parent
EXTENSIONS = sorted(FILES.glob("*.so"))
ROOT = process.TESTS.parent


def test_both_extensions_are_there():
    assert [file.name.split(".")[0] for file in EXTENSIONS] == ["_bridge", "_control"]


@pytest.mark.parametrize("file", EXTENSIONS, ids=lambda file: file.name.split(".")[0])
def test_extension_needs_no_libpython(file):
    dynamic = subprocess.check_output(["readelf", "-d", file], text=True)
    assert re.findall(r"NEEDED.*\[(.*)\]", dynamic) in (["libc.so.6"], ["libpthread.so.0", "libc.so.6"])
    assert not re.search("RPATH|RUNPATH", dynamic)


@pytest.mark.parametrize("file", EXTENSIONS, ids=lambda file: file.name.split(".")[0])
def test_extension_carries_no_build_path(file):
    data = file.read_bytes()
    for path in {str(ROOT), str(pathlib.Path.home()), sys.base_prefix, "/tmp/"} - {"/", "/usr"}:
        assert path.encode() not in data, path


def test_extension_does_not_change_floating_point():
    """-Ofast at link time would flush denormal numbers to zero in the whole process."""
    code = "import goasgi._control, goasgi._bridge; print(2.0 ** -1074 > 0)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "True\n"


def test_licences():
    names = {file.stem for file in (FILES / "licenses").iterdir()}
    assert {"goasgi", "go", "github.com_spf13_pflag", "github.com_go-python_gopy", "golang.org_x_sys"} <= names
    assert all(file.stat().st_size > 500 for file in (FILES / "licenses").iterdir())


def test_metadata():
    about = importlib.metadata.metadata("goasgi")
    assert goasgi.__version__ == about["Version"]
    assert process.run("--version").stdout.startswith(f"goasgi {about['Version']} ")
    assert about["Requires-Python"] == ">=3.11"
    assert any(r.startswith("uvloop") and "standard" in r for r in importlib.metadata.requires("goasgi"))


def test_stubs():
    assert {"py.typed", "__init__.pyi", "_bridge.pyi", "_control.pyi"} <= {file.name for file in FILES.iterdir()}


def test_stub_of_run_knows_the_options_of_the_command():
    text = process.run("--help").stdout
    flags = set(re.findall(r"^  --([a-z-]+)", text, re.M)) - {"help", "version", "python"}
    module = ast.parse((FILES / "__init__.pyi").read_text())
    (run,) = [node for node in module.body if isinstance(node, ast.FunctionDef)]
    assert {argument.arg.replace("_", "-") for argument in run.args.kwonlyargs} == flags


@pytest.mark.parametrize("module", ["_bridge", "_control"])
def test_stub_of_extension_has_its_names(module):
    code = f"import goasgi.{module} as m; print(*(n for n in dir(m) if not n.startswith('__')))"
    there = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    stub = ast.parse((FILES / f"{module}.pyi").read_text())
    functions = {node.name for node in stub.body if isinstance(node, ast.FunctionDef)}
    constants = {node.target.id for node in stub.body if isinstance(node, ast.AnnAssign)}
    assert functions | constants <= there
