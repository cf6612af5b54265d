"""Lets each allocation of a request fail in turn; run by test_garbage.py in a process of its own, which must survive.

Whatever fails, the front is told that the call has ended, nothing stays, and the next request is served.
"""

import _testcapi
import asyncio
import gc
import os
import sys
import weakref

from front import WINDOW, Front

START = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b"), [b"content-length", b"12"]]}
BODY = {"type": "http.response.body", "body": bytearray(b"123456"), "more_body": True}
LAST = {"type": "http.response.body", "body": b"123456"}
LARGE = {"type": "http.response.body", "body": bytes(3 * WINDOW)}


class Thing:
    pass


async def plain(scope, receive, send):
    scope["thing"] = thing = Thing()
    alive.append(weakref.ref(thing))
    await receive()
    await send(START)
    await send(BODY)
    await send(LAST)


async def waits(scope, receive, send):
    scope["thing"] = thing = Thing()
    alive.append(weakref.ref(thing))
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200})
    await send(LARGE)


async def several(scope, receive, send):
    steps = receive(), receive(), send(START), send(BODY), send(LAST)
    for step in steps:
        try:
            step.send(None)
        except StopIteration:
            pass


alive = []


async def one(front, n, more, fails=True):
    """A request of which the n-th allocation fails, in each of its first turns of the loop."""
    # Of several sizes, so that something is allocated for each: caches and free lists would hide it.
    front.open(
        headers=[(b"x-%d" % n, b"v" * (600 + n)), (9, b"u" * (600 + n))],
        client=b"10.0.%d.%d" % divmod(n, 256),
        query=b"q" * (700 + n),
        more=more,
    )
    ended = False
    for turn in range(400):
        if fails and turn < 3:
            _testcapi.set_nomemory(n, n + 1)
        try:
            front.link.drain()
        except MemoryError:
            pass
        finally:
            if fails and turn < 3:
                _testcapi.remove_mem_hooks()
        if turn == 0 and more:
            front.body(b"x" * 5, True)
            front.body(b"x" * (1000 + n), False)
        for _ in range(3):
            await asyncio.sleep(0)
        front.poll()
        while front.events:
            event = front.events.popleft()
            if event.kind == "end":
                ended = True
            elif event.kind in ("start", "part") and event.body:
                front.credit(len(event.body))
        if ended:
            return
    raise AssertionError(f"allocation {n}: the call has not ended; {front.reports}")


async def main(kind, count):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: None)
    app = {"plain": plain, "waits": waits, "several": several}[kind]
    front = Front(os.getpid() if kind == "waits" else 0)
    front.start(loop, app)
    loop.remove_reader(front.worker)  # drained by hand
    for n in range(1, count):
        await one(front, n, kind == "waits")
        front.reports.clear()
    assert not front.controls, front.controls
    await one(front, 1, kind == "waits", fails=False)
    assert not front.reports, front.reports
    loop.remove_reader(front.front)
    front.link.close()
    front.close()
    gc.collect()
    left = [reference() for reference in alive]
    assert not any(left), left


if __name__ == "__main__":
    sys.unraisablehook = lambda unraisable: None
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
    print("survived")
