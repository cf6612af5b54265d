"""Builds the two extensions of the wheel.

goasgi._control is the server: Go, bound by gopy from the Go package
python/control. goasgi._bridge is the worker's half of the bridge: C, nothing
of Go in it. Neither is linked against libpython, which many Pythons do not
have, and neither carries a path of the machine it was built on.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
WORK = BUILD / "wheel" / sys.implementation.cache_tag  # setuptools' own files
BRIDGE = ROOT / "bridge" / "cpython"
CONTROL = "./python/control"  # the Go package that gopy binds

# Python's own link command names the directories of the machine that it was built on.
os.environ.setdefault("CC", "cc")
os.environ["LDSHARED"] = f"{os.environ['CC']} -shared"

# Behind -I and in debug information, directories are those of the repository.
PATHS = f"-ffile-prefix-map={ROOT}=."


class BuildExt(build_ext):
    def build_extension(self, ext):
        if ext.name == "goasgi._control":
            target = Path(self.get_ext_fullpath(ext.name)).resolve()
            target.parent.mkdir(parents=True, exist_ok=True)
            Gopy(sysconfig.get_config_var("EXT_SUFFIX")).build(target)
        else:
            # Only here: to the list of what belongs to the package, setuptools admits only files below it.
            ext.sources = [str(f) for f in sorted(BRIDGE.glob("*.c")) if not f.name.startswith("embed")]
            ext.depends = [str(f) for f in sorted(BRIDGE.glob("*.h"))]
            super().build_extension(ext)
            ext.sources = ext.depends = []


class BuildPy(build_py):
    def run(self):
        # What an earlier build left there would go into the wheel.
        shutil.rmtree(Path(self.build_lib) / "goasgi", ignore_errors=True)
        super().run()
        if not self.editable_mode:
            licenses(Path(self.build_lib) / "goasgi" / "licenses")


class Gopy:
    """The steps of ``gopy build``, except that it leaves go.mod alone and compiles everything once."""

    def __init__(self, suffix):
        self.tools = BUILD / "tools"
        # Inside the module, so that the generated package may import it; behind
        # an underscore, so that ./... does not find it.
        self.out = BUILD / "_gopy" / suffix.strip(".").removesuffix(".so")
        self.include = sysconfig.get_path("include")
        self.env = {
            **os.environ,
            "PATH": f"{self.tools}{os.pathsep}{os.environ['PATH']}",
            "CGO_ENABLED": "1",
            "CGO_CFLAGS": f"-O2 -g0 {PATHS} -I{self.include}",
            "CGO_LDFLAGS": "",
        }

    def build(self, target):
        if not shutil.which("go"):
            raise SystemExit("goasgi: building the wheel needs Go (https://go.dev/dl/), and there is no go on PATH")
        shutil.rmtree(self.out, ignore_errors=True)
        # The versions are those of go.mod, where both are tools.
        self.run("go", "build", "-o", f"{self.tools}/", "github.com/go-python/gopy", "golang.org/x/tools/cmd/goimports")
        self.run(
            "gopy", "gen", f"-vm={sys.executable}", f"-output={self.out}", "-name=control",
            "-dynamic-link=true", "-no-make=true", CONTROL,
        )  # fmt: skip
        self.run("goimports", "-w", "control.go", cwd=self.out)
        source = self.out / "control.go"
        source.write_text(re.sub(r"(?m)^#cgo (CFLAGS|LDFLAGS): .*", r"#cgo LDFLAGS: -shared", source.read_text()))
        # build.py generates CPython's side from the header of Go's side.
        self.run(
            "go", "tool", "cgo", "-objdir", "_cgo", "-exportheader", "control_go.h",
            "--", f"-I{self.include}", "control.go", cwd=self.out,
        )  # fmt: skip
        self.run(sys.executable, "build.py", cwd=self.out)
        shutil.rmtree(self.out / "_cgo")
        self.run(
            "go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w -buildid=", "-o", str(target), ".",
            cwd=self.out,
        )  # fmt: skip
        target.with_suffix(".h").unlink()

    def run(self, *command, cwd=ROOT):
        done = subprocess.run(
            command, cwd=cwd, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if done.returncode != 0 or "error dispatching command" in done.stdout:  # gopy exits with 0 then
            raise SystemExit(f"{done.stdout}\ngoasgi: failed: {' '.join(command)}")


def licenses(target):
    """Collects the licences of all that is compiled into the wheel."""
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "LICENSE", target / "goasgi.txt")
    goroot = subprocess.check_output(["go", "env", "GOROOT"], cwd=ROOT, text=True).strip()
    shutil.copy(Path(goroot) / "LICENSE", target / "go.txt")
    listed = subprocess.check_output(
        ["go", "list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Dir}}{{end}}", CONTROL, "github.com/go-python/gopy/gopyh"],
        cwd=ROOT,
        text=True,
    )  # fmt: skip
    for path, directory in sorted({tuple(line.split(" ", 1)) for line in listed.splitlines() if line}):
        if Path(directory) == ROOT:
            continue
        texts = [
            f for f in sorted(Path(directory).iterdir()) if re.match(r"(?i)(licen[cs]e|copying|notice|patents)", f.name)
        ]
        if not texts:
            raise SystemExit(f"goasgi: no licence found in {directory}")
        (target / f"{path.replace('/', '_')}.txt").write_text("\n".join(f.read_text() for f in texts))


def version():
    """The Go constant is the one place that says it."""
    for file in sorted((ROOT / "cmd" / "cli").glob("*.go")):
        if found := re.search(r'(?m)^const Version = "(.+)"$', file.read_text()):
            return found[1]
    raise SystemExit("goasgi: no version in cmd/cli")


if os.environ.get("GOASGI_SANITIZE"):  # for the tests; the process must be started with libasan preloaded
    compile_args = ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined"]
    link_args = ["-fsanitize=address,undefined"]
else:
    compile_args = ["-O3", "-g0", PATHS]
    link_args = ["-s"]
bridge = Extension(
    "goasgi._bridge",
    [],
    extra_compile_args=[*compile_args, "-std=gnu11", "-fvisibility=hidden"],
    extra_link_args=link_args,
)
WORK.mkdir(parents=True, exist_ok=True)
shutil.rmtree(WORK / "goasgi.egg-info", ignore_errors=True)  # remembers files that are no longer there
readme = ROOT / "README.md"
setup(
    version=version(),
    long_description=readme.read_text() if readme.exists() else "",
    long_description_content_type="text/markdown",
    ext_modules=[bridge, Extension("goasgi._control", [])],
    cmdclass={"build_ext": BuildExt, "build_py": BuildPy},
    options={"build": {"build_base": str(WORK)}, "egg_info": {"egg_base": str(WORK)}},
)
