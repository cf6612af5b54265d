"""Starts processes in every way that applications do."""

import asyncio
import concurrent.futures
import multiprocessing
import os
import signal
import subprocess
import sys

from respond import respond, routes

KEPT = {}


def square(n):
    return n * n, os.getpid()


def handlers():
    """The child's signal handlers, by name."""
    return {
        name: getattr(signal.getsignal(getattr(signal, name)), "name", None)
        or getattr(signal.getsignal(getattr(signal, name)), "__name__", None)
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2")
    }


def mask(name):
    """A mask of the child's signals as the kernel has it: SigCgt caught, SigIgn ignored, SigBlk blocked."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(name + ":"):
                return int(line.split()[1], 16)


def caught():
    return [name for name in ("SIGTERM", "SIGHUP", "SIGUSR2") if mask("SigCgt") >> (getattr(signal, name) - 1) & 1]


def query(scope):
    return scope["query_string"].decode()


async def pool(scope, receive, send):
    """A ProcessPoolExecutor; ?fork, ?spawn or ?forkserver."""
    loop = asyncio.get_running_loop()
    context = multiprocessing.get_context(query(scope))
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        results = await asyncio.gather(*(loop.run_in_executor(executor, square, n) for n in range(20)))
    assert [result for result, _ in results] == [n * n for n in range(20)]
    assert os.getpid() not in {pid for _, pid in results}
    await respond(send, "fine")


def put(queue):
    queue.put("from a child")


async def process(scope, receive, send):
    """multiprocessing.Process and a queue."""
    context = multiprocessing.get_context(query(scope))
    queue = context.Queue()
    child = context.Process(target=put, args=(queue,))
    child.start()
    assert await asyncio.to_thread(queue.get, True, 30) == "from a child"
    await asyncio.to_thread(child.join)
    assert child.exitcode == 0, child.exitcode
    await respond(send, "fine")


async def command(scope, receive, send):
    """subprocess, with and without the loop; in a session of its own, with a shell, with closed descriptors."""
    for options in ({}, {"start_new_session": True}, {"close_fds": False}):
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", "print('out')"], capture_output=True, text=True, **options
        )
        assert (done.returncode, done.stdout) == (0, "out\n"), done
    child = await asyncio.create_subprocess_shell("exit 7")
    assert await child.wait() == 7
    await respond(send, "fine")


async def fork_in(function):
    """Forks by hand and answers with what function() gives in the child."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, str(function()).encode())
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writing)

    def read():
        text = b""
        while part := os.read(reading, 1 << 16):
            text += part
        os.close(reading)
        os.waitpid(pid, 0)
        return text.decode()

    return await asyncio.to_thread(read)


async def child_signals(scope, receive, send):
    await respond(send, {"python": await fork_in(handlers), "kernel": await fork_in(caught)})


async def child_blocked(scope, receive, send):
    """Signals that the child has blocked or ignores: none, or it could not be ended."""
    await respond(
        send, await fork_in(lambda: [mask("SigBlk"), [n for n in (2, 15, 1, 12) if mask("SigIgn") >> (n - 1) & 1]])
    )


async def child_calls(scope, receive, send):
    """The child steps the parent's receive() and send()."""

    def call():
        said = []
        for coroutine in (receive(), send({"type": "http.response.start", "status": 500, "headers": []})):
            try:
                coroutine.send(None)
                said.append("nothing")
            except StopIteration:
                said.append("it worked")
            except BaseException as error:
                said.append(f"{type(error).__name__}: {error}")
        return said

    await respond(send, await fork_in(call))


async def child_exits(scope, receive, send):
    """A child that ends by the interpreter's own way out, atexit and all."""
    pid = os.fork()
    if pid == 0:
        if query(scope) == "sys.exit":
            sys.exit(0)
        os._exit(0)
    await asyncio.to_thread(os.waitpid, pid, 0)
    await respond(send, "fine")


async def child_stays(scope, receive, send):
    """Leaves a child that sleeps, to be ended by the test."""
    child = multiprocessing.get_context("fork").Process(target=stay)
    child.start()
    KEPT[child.pid] = child
    await respond(send, child.pid)


def stay():
    import time

    print("child stays", flush=True)
    for _ in range(600):  # in short steps: a signal just before a sleep is handled after it
        time.sleep(0.1)


async def child_over(scope, receive, send):
    child = KEPT.pop(int(query(scope)))
    await asyncio.to_thread(child.join, 20)
    await respond(send, child.exitcode)


async def hello(scope, receive, send):
    await respond(send, "hello")


app = routes(globals())
