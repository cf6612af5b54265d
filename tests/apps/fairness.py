"""Applications that would keep the loop for themselves, and one that measures how late its timers are."""

import asyncio

from respond import respond, routes

LATE = []


async def timers(scope, receive, send):
    """Begins to measure how late call_later(0.01) comes; the second call answers with the worst."""
    if scope["query_string"] == b"stop":
        LATE.append(None)
        return await respond(send, {"worst": max(late for late in LATE if late is not None), "ticks": len(LATE) - 1})
    LATE.clear()
    loop = asyncio.get_running_loop()

    def tick(due):
        if None in LATE:
            return
        LATE.append(loop.time() - due)
        again()

    def again():
        loop.call_later(0.01, tick, loop.time() + 0.01)

    again()
    await respond(send, "measuring")


async def hello(scope, receive, send):
    await respond(send, "hello")


async def sends(scope, receive, send):
    """A loop of send() to a client that reads as fast as it can."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    part = {"type": "http.response.body", "body": b"x" * 1000, "more_body": True}
    for _ in range(200_000):
        await send(part)
    await send({"type": "http.response.body"})


async def receives(scope, receive, send):
    """A loop of receive() from a client that floods."""
    length, more = 0, True
    while more:
        event = await receive()
        length += len(event["body"])
        more = event["more_body"]
    await respond(send, {"length": length})


app = routes(globals())
