"""What an application learns when its client leaves."""

import asyncio

from respond import read_body, respond, routes

PART = {"type": "http.response.body", "body": b"x" * 65536, "more_body": True}


async def start(send):
    await send({"type": "http.response.start", "status": 200, "headers": []})


def tell(*words):
    print(*words, flush=True)


async def again(scope, receive, send):
    """receive() says http.disconnect again and again; send() raises OSError then."""
    await read_body(receive)
    tell("again: waits")
    events = [(await receive())["type"] for _ in range(5)]
    tell("again:", sorted(set(events)))
    for event in ({"type": "http.response.start", "status": 200, "headers": []}, PART):
        try:
            await send(event)
            tell("again: sent")
        except Exception as error:
            tell("again: OSError:", isinstance(error, OSError), "RuntimeError:", isinstance(error, RuntimeError))


async def half_body(scope, receive, send):
    """The client leaves in the middle of its upload."""
    types = []
    while True:
        event = await receive()
        types.append(event["type"])
        tell("half_body:", event["type"], event.get("more_body"))
        if event["type"] == "http.disconnect":
            return


async def waiting_send(scope, receive, send):
    """The client does not read and then leaves while send() waits."""
    await read_body(receive)
    await start(send)
    try:
        while True:
            waiting = asyncio.create_task(send(PART))
            done, _ = await asyncio.wait({waiting}, timeout=0.5)
            if not done:
                tell("waiting_send: waits")
            await waiting
    except Exception as error:
        tell("waiting_send: OSError:", isinstance(error, OSError), type(error).__name__)
    try:
        await send(PART)
    except Exception as error:
        tell("waiting_send: later OSError:", isinstance(error, OSError))


async def endless(scope, receive, send):
    """Only send() can tell that the client has left."""
    await start(send)
    tell("endless: started")
    try:
        while True:
            await send(PART)
            await asyncio.sleep(0)
    except OSError:
        tell("endless: OSError")
        raise


async def sleeper(scope, receive, send):
    """Does not listen. With --cancel-on-disconnect its task is cancelled."""
    await read_body(receive)
    tell("sleeper: sleeps")
    try:
        await asyncio.sleep(3)
    except asyncio.CancelledError:
        tell("sleeper: cancelled")
        raise
    tell("sleeper: slept")


async def background(scope, receive, send):
    """Has answered already: what goes on then is its own business."""
    await respond(send, "answered")
    try:
        await asyncio.sleep(0.5)
    except asyncio.CancelledError:
        tell("background: cancelled")
        raise
    tell("background: done")


async def half_closed(scope, receive, send):
    """Answers later; its client has closed its sending side meanwhile."""
    await read_body(receive)
    await asyncio.sleep(0.1)
    await start(send)
    for _ in range(3):
        await send({"type": "http.response.body", "body": b"late", "more_body": True})
        await asyncio.sleep(0.01)
    await send({"type": "http.response.body"})
    tell("half_closed: sent")


app = routes(globals())
