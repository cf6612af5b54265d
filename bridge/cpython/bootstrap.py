# Runs inside the interpreter that the Go program has started, with the global
# `data`, a JSON object: "sources", the modules of the package goasgi by name,
# and "config" for its worker. Leaves the exit status in the global `status`.
import importlib.machinery
import importlib.util
import json
import os
import sys


class Memory:
    """Finds and loads the package goasgi, whose sources the Go program carries.

    It comes first, so that a wheel in the same environment, perhaps of another
    version, is not mixed in.
    """

    def __init__(self, sources):
        self.sources = sources

    def find_spec(self, name, path=None, target=None):
        if name == "goasgi._bridge":
            return importlib.util.spec_from_loader(name, importlib.machinery.BuiltinImporter)
        if name in self.sources:
            return importlib.util.spec_from_loader(name, self, is_package=name == "goasgi")
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        name = module.__name__
        exec(compile(self.sources[name], f"<{name}>", "exec", dont_inherit=True), module.__dict__)

    def get_source(self, name):  # for tracebacks
        return self.sources[name]


process = os.getpid()
data = json.loads(data)
sys.meta_path.insert(0, Memory(data["sources"]))
try:
    from goasgi import worker

    status = worker.main(data["config"])
except SystemExit as exc:  # only in a child that the application forked
    status = exc.code if isinstance(exc.code, int) else 0 if exc.code is None else 1
if os.getpid() == process:
    from goasgi import exit

    exit.finish()
else:  # a forked child must not return into the Go program
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)
