"""Keeps receive and send longer than its coroutine lives."""

import asyncio
import gc

from respond import read_body, respond, routes

KEPT = []


async def keep(scope, receive, send):
    KEPT.append((receive, send, receive(), send({"type": "http.response.body", "body": b"late"})))
    await respond(send, "kept")


async def use(scope, receive, send):
    """Uses what earlier requests left, whose slots may serve others by now."""
    results = []
    for kept_receive, kept_send, receiving, sending in KEPT:
        for coroutine in (
            receiving,
            sending,
            kept_send({"type": "http.response.start", "status": 500}),
            kept_receive(),
        ):
            try:
                value = await asyncio.wait_for(coroutine, 5)
                results.append((value or {}).get("type"))
            except Exception as error:
                results.append(type(error).__name__)
    KEPT.clear()
    gc.collect()
    await respond(send, results)


async def answer_later(scope, receive, send):
    """The coroutine returns; a task of its own answers after that: too late, but no crash."""

    async def later():
        await asyncio.sleep(0.05)
        try:
            await respond(send, "later")
            print("later: sent", flush=True)
        except Exception as error:
            print("later:", type(error).__name__, flush=True)

    KEPT.append(asyncio.create_task(later()))


async def waiting_behind(scope, receive, send):
    """Leaves a task that waits in receive()."""

    async def wait():
        event = await receive()
        print("waiting_behind:", event["type"], flush=True)

    await read_body(receive)
    KEPT.append(asyncio.create_task(wait()))
    await asyncio.sleep(0)
    await respond(send, "left behind")


async def clear(scope, receive, send):
    KEPT.clear()
    gc.collect()
    await respond(send, "cleared")


async def fine(scope, receive, send):
    await respond(send, "fine")


app = routes(globals())
