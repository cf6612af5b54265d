"""Responses of every framing."""

import asyncio

from respond import read_body, respond, routes

PARTS = [b"one", b"two", b"three"]


async def parts(send, headers=(), status=200, parts=PARTS):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


async def length(scope, receive, send):
    await parts(send, [(b"content-length", b"11")])


async def one_event(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"onetwothree"})


async def chunks(scope, receive, send):
    await parts(send)


async def no_content(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": scope["query_string"]})


async def not_modified(scope, receive, send):
    await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", b'"x"')]})
    await send({"type": "http.response.body"})


async def own_headers(scope, receive, send):
    await respond(send, "own", headers=[(b"Date", b"Tue, 15 Nov 1994 08:12:31 GMT"), (b"Server", b"mine")])


async def transfer_encoding(scope, receive, send):
    await parts(send, [(b"transfer-encoding", b"chunked")])


async def transfer_encoding_and_length(scope, receive, send):
    await parts(send, [(b"transfer-encoding", b"gzip, chunked"), (b"content-length", b"11")])


async def closes(scope, receive, send):
    await respond(send, "closes", headers=[(b"connection", b"close")])


async def repeated(scope, receive, send):
    await respond(send, "", headers=[(b"Set-Cookie", b"a=1"), (b"X-Other", b"x"), (b"Set-Cookie", b"b=2")])


async def echo(scope, receive, send):
    body, _ = await read_body(receive)
    await respond(send, body)


async def count(scope, receive, send):
    body, _ = await read_body(receive)
    await respond(send, str(len(body)))


async def unread(scope, receive, send):
    await respond(send, "unread")


async def slow(scope, receive, send):
    await asyncio.sleep(0.1)
    await respond(send, scope["query_string"])


async def late_reader(scope, receive, send):
    """Asks for the body only when it is told to go on, by a line that the test waits for."""
    print("late_reader: called", flush=True)
    await asyncio.sleep(0.3)
    print("late_reader: asks", flush=True)
    body, _ = await read_body(receive)
    await respond(send, body)


async def refuses(scope, receive, send):
    await respond(send, "too large", 413)


async def echo_parts(scope, receive, send):
    """Answers to every part as it comes."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        event = await receive()
        more = event["more_body"]
        await send({"type": "http.response.body", "body": event["body"].upper(), "more_body": more})


async def flush(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass


async def big(scope, receive, send):
    size = int(scope["query_string"])
    await respond(send, b"0123456789abcdef" * (size // 16))


async def big_header(scope, receive, send):
    await respond(send, "big header", headers=[(b"x-big", b"v" * int(scope["query_string"]))])


app = routes(globals())
