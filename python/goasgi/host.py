"""The wheel's host: an interpreter that is running already starts the server beside itself.

The server is the Go extension ``_control``, whose threads need nothing of the
interpreter. The worker runs here, on the main thread, until the server stops.
"""

import json
import os
import signal
import sys
import threading

from .exit import finish, flush

_process = None  # the process that has loaded the Go runtime; a fork of it must not call it


def main():
    """The command: ``goasgi`` and ``python -m goasgi``. Does not return."""
    status = 1
    try:
        status = _serve(sys.argv[1:], "goasgi")
    except BaseException as exc:
        flush()
        if isinstance(exc, SystemExit):
            status = exc.code if isinstance(exc.code, int) else 1
        else:
            sys.excepthook(type(exc), exc, exc.__traceback__)
    finally:
        if "goasgi.worker" in sys.modules:
            finish()
        flush()
        # A Go runtime cannot be unloaded, and its threads must not meet a finalised interpreter.
        os._exit(status & 0xFF)


def run(app, **options):
    """Serves an application until the server is stopped, and returns the exit status.

    app is what the command takes, ``"module:attribute"``, or the application
    itself. The options are the command's, with underscores: ``port=8000``,
    ``access_log=False`` for ``--no-access-log``, a list for an option that may
    be repeated. ``goasgi --help`` tells them all.

    It is called from the main thread, and the signal handlers that were there
    before are there again when it returns.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("goasgi.run() must be called from the main thread; the application's event loop runs there")
    if "asyncio" in sys.modules and sys.modules["asyncio"]._get_running_loop() is not None:
        raise RuntimeError("goasgi.run() cannot be called while an event loop runs in this thread; it runs its own")
    argv = _arguments(options)
    from .worker import FRONT_SIGNALS

    handlers = {number: signal.getsignal(number) for number in FRONT_SIGNALS}
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    try:
        if isinstance(app, str):
            return _serve([*argv, "--", app], "goasgi.run()")
        return _serve(argv, "goasgi.run()", app)
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)  # an application put its own in place


def _arguments(options):
    argv = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None:
            continue  # the default
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(one, bool):
                one = "true" if one else "false"
            argv.append(f"{flag}={os.fspath(one) if hasattr(one, '__fspath__') else one}")
    return argv


def _serve(argv, program, app=None):
    control = _control()
    host = {
        "program": program,
        "python": f"CPython {sys.version.split()[0]}",
        "executable": sys.executable,
        "app": "" if app is None else _label(app),
    }
    flush()  # what was printed so far comes before what Go prints
    answer = json.loads(control.control_Start(json.dumps(argv), json.dumps(host)))
    if error := answer.get("error"):
        raise RuntimeError(error)
    if "worker" not in answer:
        return answer["status"]
    status = 1
    try:
        from . import worker

        config = answer["worker"]
        if app is not None:
            config["app"] = host["app"]
        status = worker.main(config, app)
    finally:
        flush()
        status = control.control_Finish(status)
    return status


def _control():
    """Loads the Go extension, unless this is a fork of the process that did."""
    global _process
    if _process not in (None, os.getpid()):
        raise RuntimeError(
            f"goasgi was loaded in process {_process}, of which this process is a fork, and Go does not survive a fork; "
            'start a new process instead: subprocess, or multiprocessing with "spawn"'
        )
    from . import _control

    _process = os.getpid()
    return _control


def _label(app):
    """What messages call an application that was given as an object."""
    name = getattr(app, "__qualname__", None)
    if name is None:
        return f"{type(app).__module__}.{type(app).__qualname__} object"
    return f"{app.__module__}.{name}"
