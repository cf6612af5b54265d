"""Keeps the interpreter busy in ways in which a Python signal handler runs late or never."""

import asyncio
import ctypes
import os
import signal
import time

from respond import respond, routes

C = ctypes.PyDLL(None)  # calls C with the GIL held


def seconds(scope):
    return int(scope["query_string"])


async def gil_held(scope, receive, send):
    print("stuck", flush=True)
    C.sleep(seconds(scope))
    await respond(send, "awake")


async def loop_blocked(scope, receive, send):
    print("stuck", flush=True)
    time.sleep(seconds(scope))
    await respond(send, "awake")


async def waits(scope, receive, send):
    print("waits", flush=True)
    await asyncio.sleep(seconds(scope))
    await respond(send, "awake")


async def hello(scope, receive, send):
    await respond(send, "hello")


routed = routes(globals())


def own_handler(number, frame):
    print("own handler:", signal.Signals(number).name, flush=True)


OWN = os.environ.get("OWN", "")
NAMES = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR2")
if OWN == "import":
    for each in NAMES:
        signal.signal(getattr(signal, each), own_handler)


async def app(scope, receive, send):
    if scope["type"] != "lifespan":
        return await routed(scope, receive, send)
    await receive()
    if OWN == "startup":
        for name in NAMES:
            signal.signal(getattr(signal, name), own_handler)
    if OWN == "loop":
        for name in NAMES:
            number = getattr(signal, name)
            asyncio.get_running_loop().add_signal_handler(number, own_handler, number, None)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("lifespan shutdown", flush=True)
    await send({"type": "lifespan.shutdown.complete"})
