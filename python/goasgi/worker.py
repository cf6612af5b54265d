"""The worker: one application on one event loop, on the interpreter's main thread.

The front, written in Go, gives it the descriptors of a link (two rings in
shared memory, an eventfd each way). ``_bridge``, written in C, turns what comes
out of the ring into calls of the application. What is left for this module is
what happens once: make the loop, load the application, run its lifespan, wait
for the end, and tell the front about each.

The worker takes no signals. The front owns them and says "stop" through the
link, because Python's handlers run late or never while the main thread is busy
in C. That is why there is no asyncio.run here, which takes SIGINT.
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from _thread import interrupt_main

from . import _bridge
from .lifespan import Lifespan
from .loader import LoadError, load, prepare
from .log import Log

EXIT_FAILURE = 1
EXIT_STARTUP = 3  # the application could not be started; uvicorn's number

FRONT_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)

# How long the end may wait for others, in seconds.
CANCEL_WAIT = 2.0  # for tasks that were cancelled
THREADS_WAIT = 5.0  # for what runs in the loop's default executor


class StartupError(Exception):
    """The worker cannot serve. args: exit status, text for the log."""


def main(config, app=None):
    """Serves until the front says stop, or the application ends the server; returns the exit status.

    config is the front's JSON, as text or decoded. app, if given, is served
    instead of what config names.
    """
    if not isinstance(config, dict):
        config = json.loads(config)
    descriptors = config["link"]
    link = _bridge.attach(descriptors["memory"], descriptors["worker"], descriptors["front"], config["header_names"])
    worker = Worker(link, config, app)
    _running.append(worker)
    try:
        return worker.run()
    finally:
        _running.remove(worker)
        link.close()


class Worker:
    """The life of a worker. All of it happens in the thread that calls run()."""

    def __init__(self, link, config, app):
        self._link = link
        self._config = config
        self._app = app
        self._log = Log(link, _bridge.LOG)
        self._process = os.getpid()
        self._loop = self._loop_name = None
        self._lifespan = None
        self._stop = None  # asyncio.Event: leave serve()
        self._serving = False
        self._status = 0

    def run(self):
        try:
            self._loop, self._loop_name = new_loop(self._config["loop"])
            asyncio.set_event_loop(self._loop)
            self._complete(self._start())
            if self._serving:
                self._complete(self._serve())
        except StartupError as exc:
            status, text = exc.args
            self._end()
            self._log.last(_bridge.FAILED, status, text)
            return status
        except BaseException as exc:  # of this package: an application's are caught where it is called
            self._end_of_fork(1)
            self._log.error(f"BUG: {exc!r} in the worker\n{traceback.format_exc()}")
            self._status = EXIT_FAILURE
        self._end()
        self._link.post(_bridge.STOPPED, self._status, "")
        return self._status

    def _complete(self, coroutine):
        """run_until_complete, in which a SystemExit out of any callback of the application stops the server."""
        task = self._loop.create_task(coroutine, name="goasgi worker")
        while True:
            try:
                return self._loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt) as exc:
                self._exit(exc)
                if task.done():
                    return None

    async def _start(self):
        self._stop = asyncio.Event()
        config = self._config
        try:
            if self._app is None:
                self._app = await load(
                    config["app"], factory=config["factory"], app_dir=config["app_dir"], log=self._log
                )
            else:
                self._app = await prepare(self._app, config["app"], factory=config["factory"], log=self._log)
        except LoadError as exc:
            raise StartupError(EXIT_STARTUP, str(exc)) from None
        except (SystemExit, KeyboardInterrupt) as exc:
            status = exit_status(exc)
            raise StartupError(status, f"{config['app']} raised {exc!r} while it was imported") from None
        self._check_signals()

        self._lifespan = Lifespan(self._app, config["lifespan"], self._log, self._exit)
        # Before startup, so that the front can stop one that does not end; it sends requests only after STARTED.
        self._link.start(
            self._loop,
            self._app,
            self._lifespan.state,
            config["root_path"],
            config["eager"],
            config["cancel_on_disconnect"],
            self._report,
            self._control,
        )
        self._loop.add_reader(self._link.fileno(), self._link.drain)
        startup = asyncio.ensure_future(self._lifespan.startup())
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((startup, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not startup.done():
            startup.cancel()
            return
        if not startup.result():
            if self._stop.is_set():
                return
            raise StartupError(EXIT_STARTUP, "Application startup failed. Exiting.")
        self._check_signals()
        self._serving = True
        self._link.post(_bridge.STARTED, 0, f"{python_version()}, {self._loop_name}")

    async def _serve(self):
        await self._stop.wait()
        # The reader stays: what the application still sends, and what it is told, goes on meanwhile.
        if not await self._lifespan.shutdown() and self._status == 0:
            self._status = EXIT_FAILURE

    def _check_signals(self):
        """Tells the front which of its signals an import or startup took away, so that it takes them back."""
        if mask := self._link.signals():
            self._link.post(_bridge.SIGNALS, mask, "")

    def _end_of_fork(self, status):
        """In a child that the application forked, ends it at once: what is up the stack belongs to the parent."""
        if os.getpid() != self._process:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _exit(self, exc):
        """The application wants the process to end, by SystemExit or KeyboardInterrupt."""
        self._end_of_fork(exit_status(exc))
        self._status = exit_status(exc)
        if isinstance(exc, SystemExit) and exc.code is not None and not isinstance(exc.code, int):
            self._log.error(str(exc.code))  # as sys.exit("text") prints it
        self._log.info(f"The application ended the server with {type(exc).__name__}.")
        if self._serving:
            self._link.post(_bridge.STOPPING, 0, "")  # the front drains, then says STOP
        else:
            self._stop.set()

    def _report(self, exc, scope_type, text):
        """An application's call ended in another way than a response. Called by C, never raises."""
        if isinstance(exc, (SystemExit, KeyboardInterrupt)):
            self._exit(exc)
        elif exc is not None:
            self._log.error("Exception in ASGI application", exc)
        else:
            self._log.error(text)

    def _control(self, kind, value):
        """The front says something. Called by C, never raises."""
        if kind == _bridge.STOP:
            self._stop.set()
        elif kind == _bridge.SIGNAL:
            deliver(value)
        elif kind == _bridge.FATAL:
            self._status = EXIT_FAILURE
            self._stop.set()

    def _end(self):
        """Cancels what is left, as asyncio.run does, but does not wait for ever."""
        loop = self._loop
        if loop is None:
            return
        try:
            self._complete(self._finish())
        except BaseException as exc:
            self._log.error("Exception while the event loop was closed", exc)
        finally:
            loop.remove_reader(self._link.fileno())
            asyncio.set_event_loop(None)
            loop.close()

    async def _finish(self):
        me = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not me]
        for task in tasks:
            task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CANCEL_WAIT)
            for task in late:
                self._log.warning(f"Task {task.get_name()!r} did not end when it was cancelled: {task.get_coro()!r}")
            for task in tasks:
                if task.done() and not task.cancelled() and (exc := task.exception()):
                    if not isinstance(exc, (SystemExit, KeyboardInterrupt)):
                        self._log.error(f"Exception in task {task.get_name()!r} at shutdown", exc)
        await self._loop.shutdown_asyncgens()
        await shutdown_threads(self._loop, self._log)


def new_loop(wanted):
    """Makes the event loop; returns it and its name for the log."""
    if wanted in ("auto", "uvloop"):
        try:
            import uvloop
        except ImportError as exc:
            if wanted == "uvloop":
                reason = (
                    "it is not installed" if isinstance(exc, ModuleNotFoundError) else f"it cannot be imported: {exc}"
                )
                raise StartupError(
                    EXIT_FAILURE,
                    f"goasgi: --loop uvloop needs uvloop, and {reason} in {sys.prefix}; "
                    'pip install "goasgi[standard]" brings it, --loop auto does without',
                ) from None
        else:
            return uvloop.new_event_loop(), f"uvloop {uvloop.__version__}"
    return asyncio.new_event_loop(), "asyncio"


def python_version():
    name = {"cpython": "CPython"}.get(sys.implementation.name, sys.implementation.name)
    return f"{name} {sys.version.split()[0]}"


def exit_status(exc):
    """The exit status that Python would give: https://docs.python.org/3/library/exceptions.html#SystemExit"""
    if isinstance(exc, KeyboardInterrupt):
        return 128 + signal.SIGINT
    if exc.code is None:
        return 0
    return exc.code & 0xFF if isinstance(exc.code, int) else 1


def deliver(number):
    """Lets the handler run that the application installed for a signal, if it did."""
    try:
        handler = signal.getsignal(number)
    except ValueError:
        return
    if handler in (None, signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler):
        return  # not an application's: the front has done what the signal means
    interrupt_main(number)


def _after_fork():
    """Gives a child that the application forked the handlers that Python knows of, or the default ones.

    The front's, which were in their place, are of no use in a child.
    """
    if not _running:
        return
    for number in FRONT_SIGNALS:
        handler = signal.getsignal(number)
        if handler is None or handler == signal.SIG_DFL:
            handler = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, handler)


_running = []  # the worker, while there is one
os.register_at_fork(after_in_child=_after_fork)


async def shutdown_threads(loop, log):
    """Ends the loop's default executor. Threads that do not end are left behind, and end with the process."""
    task = asyncio.ensure_future(loop.shutdown_default_executor())
    done, _ = await asyncio.wait((task,), timeout=THREADS_WAIT)
    if not done:
        # Not cancelled: before 3.12 that would join the threads.
        task._log_destroy_pending = False
        log.warning(f"Work in the default executor's threads did not end within {THREADS_WAIT:g} s; it is left behind.")
