"""ASGI without a framework: every event of the HTTP and lifespan protocols.

GET /        an answer in one part
GET /stream  an answer in many parts, until the client leaves
POST /echo   the request body back, part by part, as it comes
GET /scope   what the server tells about the request
"""

import asyncio
import time


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "http":
        handler = PATHS.get(scope["path"], not_found)
        await handler(scope, receive, send)


async def lifespan(scope, receive, send):
    """What is put into scope["state"] here is in the scope of every request."""
    event = await receive()
    assert event["type"] == "lifespan.startup"
    try:
        scope["state"]["started"] = time.time()
    except Exception as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    await send({"type": "lifespan.startup.complete"})

    event = await receive()
    assert event["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})


async def hello(scope, receive, send):
    await answer(send, b"Hello, world!\n")


async def echo(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        more = event["more_body"]
        await send({"type": "http.response.body", "body": event["body"], "more_body": more})


async def stream(scope, receive, send):
    """Counts until the client leaves, which receive() tells; send() would raise OSError then."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    leaving = asyncio.create_task(left(receive))
    number = 0
    while not leaving.done():
        await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
        number += 1
        await asyncio.wait({leaving}, timeout=0.2)
    print(f"the client left after {number} events", flush=True)


async def left(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


async def show_scope(scope, receive, send):
    lines = [f"{key}: {value!r}\n" for key, value in scope.items()]
    await answer(send, "".join(lines).encode())


async def not_found(scope, receive, send):
    await answer(send, b"Try / or /stream or /scope, or POST to /echo.\n", status=404)


async def answer(send, body, status=200):
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


PATHS = {"/": hello, "/echo": echo, "/stream": stream, "/scope": show_scope}
