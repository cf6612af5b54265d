"""receive() and send() in several tasks of one request at once."""

import asyncio

from respond import read_body, respond, routes


async def parts(scope, receive, send):
    """Cancels a receive() that waits for every part, then asks again: no part may be missing."""
    body, cancelled = b"", 0
    while True:
        task = asyncio.create_task(receive())
        done, _ = await asyncio.wait({task}, timeout=0.02)
        if not done:
            task.cancel()
            try:
                event = await task
            except asyncio.CancelledError:
                cancelled += 1
                if cancelled == 1:
                    print("waits for a part", flush=True)
                continue
        else:
            event = task.result()
        assert event["type"] == "http.request", event
        body += event["body"]
        if not event["more_body"]:
            break
    await respond(send, {"body": body.decode(), "cancelled": cancelled})


async def race(scope, receive, send):
    """Cancels receive() in the same step of the loop in which its message arrives."""
    loop, body = asyncio.get_running_loop(), b""
    while True:
        task = asyncio.create_task(receive())
        await asyncio.sleep(0)
        loop.call_soon(task.cancel)
        try:
            event = await task
        except asyncio.CancelledError:
            continue
        body += event["body"]
        if not event["more_body"]:
            break
    await respond(send, {"length": len(body)})


async def senders(scope, receive, send):
    """Parts of the body come from many tasks; each is whole, and they come in the order of the calls."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.gather(
        *(send({"type": "http.response.body", "body": b"%05d;" % n * 2000, "more_body": True}) for n in range(50))
    )
    await send({"type": "http.response.body"})


async def listener(scope, receive, send):
    """A task waits for the disconnect while another one sends, as Starlette does."""
    await read_body(receive)
    waiting = asyncio.create_task(receive())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for n in range(5):
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"%d" % n, "more_body": True})
    await send({"type": "http.response.body"})
    event = await waiting
    print("listener:", event["type"], flush=True)


async def all_hear(scope, receive, send):
    """Every task that waits in receive() hears of the disconnect, and every later call too."""
    await read_body(receive)
    tasks = [asyncio.create_task(receive()) for _ in range(3)]
    await asyncio.sleep(0)
    print("all wait", flush=True)
    events = [await task for task in tasks] + [await receive(), await receive()]
    print("all heard:", sorted({event["type"] for event in events}), flush=True)


app = routes(globals())
