"""Events in all the forms that the specification and frameworks allow."""

import http

from respond import read_body, respond, routes


async def bare(scope, receive, send):
    """Optional keys left out."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})


async def status_enum(scope, receive, send):
    await respond(send, "short and stout", http.HTTPStatus.IM_A_TEAPOT)


async def iterables(scope, receive, send):
    headers = (pair for pair in ([b"x-list", b"1"], (b"x-tuple", b"2")))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def buffers(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
    await send({"type": "http.response.body", "body": bytearray(b"one"), "more_body": True})
    await send({"type": "http.response.body", "body": memoryview(b"-two-")[1:4], "more_body": True})
    await send({"type": "http.response.body", "body": b"six", "more_body": False})


async def more_keys(scope, receive, send):
    """Unknown keys are no error."""
    await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": False, "note": 1})
    await send({"type": "http.response.body", "body": b"ok", "note": 2})


async def empty_parts(scope, receive, send):
    """An empty part of a chunked body must not end it."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for part in (b"", b"one", b"", b"two", b""):
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def reused(scope, receive, send):
    """The caller may change its buffer and its dict once send() is done."""
    part = bytearray(b"a" * 1000)
    event = {"type": "http.response.body", "body": part, "more_body": True}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for letter in b"abc":
        part[:] = bytes([letter]) * 1000
        await send(event)
    part[:] = b"z" * 1000
    await send({"type": "http.response.body"})


async def status(scope, receive, send):
    await respond(send, "", int(scope["query_string"]))


async def echo(scope, receive, send):
    body, _ = await read_body(receive)
    await respond(send, body)


app = routes(globals())
