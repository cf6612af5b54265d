"""goasgi serves ASGI applications from a network server written in Go.

This package is the Python half. ``goasgi.run()`` starts the server from Python;
everything else is for the server itself. Importing it costs next to nothing:
the Go extension is loaded when a server is started.
"""

__all__ = ["__version__", "run"]


def __getattr__(name):
    if name == "run":
        from .host import run

        globals()["run"] = run
        return run
    if name == "__version__":
        from importlib import metadata

        try:
            return metadata.version("goasgi")
        except metadata.PackageNotFoundError:  # embedded in the Go program
            return "unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
