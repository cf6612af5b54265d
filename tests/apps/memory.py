"""A stream of 100 MiB without an end in sight, an upload that is read at 1 KiB a second, and what it costs."""

import asyncio
import gc
import os
import tracemalloc

from respond import read_body, respond, routes

PART = b"x" * 65536
KEEP_TRACES = os.environ.get("TRACEMALLOC") == "1"
if KEEP_TRACES:
    tracemalloc.start(10)
FIRST = []


async def stream(scope, receive, send):
    """/stream?N sends N bytes."""
    left = int(scope["query_string"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while left > 0:
        await send({"type": "http.response.body", "body": PART[:left], "more_body": True})
        left -= len(PART)
    await send({"type": "http.response.body"})


async def trickle(scope, receive, send):
    """Takes 1 KiB a second of its upload: after each event it waits as long as that would last."""
    taken = 0
    try:
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            taken += len(event["body"])
            if not event["more_body"]:
                break
            await asyncio.sleep(len(event["body"]) / 1024)
    except OSError:
        return
    await respond(send, str(taken))


async def drain(scope, receive, send):
    body, _ = await read_body(receive)
    await respond(send, str(len(body)))


async def hello(scope, receive, send):
    await respond(send, "hello")


async def fails(scope, receive, send):
    raise RuntimeError("wanted")


async def fails_late(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    raise RuntimeError("wanted")


async def waits(scope, receive, send):
    """Waits for a client that will leave."""
    await read_body(receive)
    await receive()


async def counts(scope, receive, send):
    """What is alive: objects by type, tasks, and what tracemalloc knows in addition to the first call."""
    for _ in range(3):
        gc.collect()
    by_type = {}
    for thing in gc.get_objects():
        name = f"{type(thing).__module__}.{type(thing).__qualname__}"
        by_type[name] = by_type.get(name, 0) + 1
    answer = {
        "objects": sum(by_type.values()),
        "types": dict(sorted(by_type.items(), key=lambda pair: -pair[1])[:40]),
        "tasks": len(asyncio.all_tasks()),
    }
    if KEEP_TRACES:
        snapshot = tracemalloc.take_snapshot()
        answer["traced"] = tracemalloc.get_traced_memory()[0]
        if FIRST:
            grown = snapshot.compare_to(FIRST[0], "lineno")[:10]
            answer["grown"] = [str(each) for each in grown if each.size_diff > 0]
        else:
            FIRST.append(snapshot)
    await respond(send, answer)


app = routes(globals())
