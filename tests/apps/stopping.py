"""Requests of every length, to be stopped under."""

import asyncio

from respond import read_body, respond, routes

SERVED = []


def tell(*words):
    print(*words, flush=True)


async def events(scope, receive, send):
    """An event stream as sse-starlette makes them: it ends when its client leaves, else never."""
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/event-stream; charset=utf-8")],
        }
    )
    await send({"type": "http.response.body", "body": b"data: first\n\n", "more_body": True})
    while (event := await receive())["type"] == "http.request":
        pass
    tell("events:", event["type"])


async def stubborn(scope, receive, send):
    """Waits for nothing that the server could tell."""
    tell("stubborn: begins")
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        tell("stubborn: cancelled")
        raise


async def deaf(scope, receive, send):
    """Does not even end when it is cancelled."""
    tell("deaf: begins")
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            tell("deaf: cancelled")


async def slow(scope, receive, send):
    """/slow?N answers after N tenths of a second."""
    tell("slow: begins")
    await asyncio.sleep(int(scope["query_string"] or 10) / 10)
    tell("slow: ends")
    await respond(send, "slow")


async def slow_listener(scope, receive, send):
    """Ordinary work that listens for its client, as Starlette's streams do: a stop must not look like a disconnect."""
    tell("slow_listener: begins")
    await read_body(receive)
    listening = asyncio.create_task(receive())
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/csv")]})
    for n in range(30):
        await send({"type": "http.response.body", "body": b"%d\n" % n, "more_body": True})
        done, _ = await asyncio.wait({listening}, timeout=0.05)
        if done:
            tell("slow_listener: told to go")
            return
    listening.cancel()
    await send({"type": "http.response.body"})


async def upload(scope, receive, send):
    tell("upload: begins")
    body, whole = await read_body(receive)
    await respond(send, {"length": len(body), "whole": whole})


async def background(scope, receive, send):
    await respond(send, "answered")
    tell("background: begins")
    await asyncio.sleep(1)
    tell("background: ends")


async def count(scope, receive, send):
    SERVED.append(scope["query_string"])
    await respond(send, "counted")


routed = routes(globals())


async def app(scope, receive, send):
    if scope["type"] != "lifespan":
        return await routed(scope, receive, send)
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    tell("lifespan shutdown")
    tell("served:", *sorted(query.decode() for query in SERVED))
    await send({"type": "lifespan.shutdown.complete"})
