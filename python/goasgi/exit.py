"""The end of a process that served: what Python does at exit, without finalising the interpreter.

The interpreter is not finalised because threads of the front, written in Go,
still run beside it, and because a thread that is stuck must not keep a server
from ending.
"""

import atexit
import sys
import threading

# How long threads of the application may take to end, in seconds.
THREADS_WAIT = 5.0


def finish():
    """Ends thread pools, waits a while for threads, runs atexit functions, flushes. For the main thread."""
    ended = threading.Event()
    threading.Thread(target=_end_threads, args=(ended,), daemon=True, name="goasgi exit").start()
    if not ended.wait(THREADS_WAIT):
        from .log import to_stderr  # here, for the command's start does not need it

        names = ", ".join(sorted(thread.name for thread in _waited_for()))
        to_stderr(f"goasgi: threads that did not end within {THREADS_WAIT:g} s are left behind: {names}")
    atexit._run_exitfuncs()
    flush()


def flush():
    """Flushes what Python has printed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed, or None, or nobody reads it any more


def _end_threads(ended):
    # As threading._shutdown does, which could not be given up on. The functions are those of
    # concurrent.futures, which tell the threads and processes of pools to end.
    for function in reversed(getattr(threading, "_threading_atexits", ())):
        function()
    for thread in _waited_for():
        thread.join()
    ended.set()


def _waited_for():
    main = threading.main_thread()
    return [thread for thread in threading.enumerate() if not thread.daemon and thread is not main]
