"""What most of the test applications need: a whole response in one call."""

import json


async def respond(send, body=b"", status=200, headers=()):
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = json.dumps(body).encode()
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive):
    """The whole request body, and whether the client stayed until its end."""
    body = b""
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return body, False
        body += event.get("body", b"")
        if not event.get("more_body"):
            return body, True


def routes(namespace):
    """An application that answers /name with the coroutine function name(scope, receive, send)."""

    async def app(scope, receive, send):
        assert scope["type"] == "http", "no lifespan here"
        handler = namespace.get(scope["path"].split("/")[1] or "index")
        if handler is None:
            await respond(send, "no such path", 404)
        else:
            await handler(scope, receive, send)

    return app
