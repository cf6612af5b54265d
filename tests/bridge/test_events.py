"""Which events send() takes, in which order receive() and send() happen, and what the records say."""

import asyncio
import collections
import http
import os

import pytest
from front import WINDOW, run

SIZE = WINDOW // 2 + 1000  # of which two are more than the window

START = {"type": "http.response.start", "status": 200, "headers": []}


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


async def respond(send, data=b"done"):
    await send(START)
    await send(body(data))


# ------------------------------------------------------------------------ scope


def scope_of(*, options=None, **request):
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await respond(send)

    async def script(front):
        await front.request(**request)
        await front.request(**request)

    assert not run(app, script, **(options or {})).reports
    assert scopes[0] == scopes[1]
    assert scopes[0] is not scopes[1] and scopes[0]["asgi"] is not scopes[1]["asgi"]
    return scopes[0]


def test_scope():
    assert scope_of() == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 5000),
        "scheme": "http",
        "method": "GET",
        "root_path": "",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [],
    }


def test_scope_of_everything():
    state = {"a": [1]}
    scope = scope_of(
        options={"state": state, "root_path": "/r\xe4"},
        method=b"BREW",
        raw_path=b"/%C3%A4%FF",
        path=b"/\xc3\xa4\xff",
        query=b"a=%20",
        client=b"",
        client_port=-1,
        server=b"/run/\xff.sock",
        server_port=-1,
        headers=[(1, b"h"), (b"x-\xe4", b"v\xff"), (12, b"c=1"), (b"", b""), (1, b"h")],
        version=0,
        secure=1,
    )
    assert scope["method"] == "BREW" and scope["http_version"] == "1.0" and scope["scheme"] == "https"
    assert (
        scope["root_path"] == "/r\xe4" and scope["path"] == "/r\xe4/\xe4\ufffd" and scope["raw_path"] == b"/%C3%A4%FF"
    )
    assert scope["query_string"] == b"a=%20"
    assert scope["client"] is None and scope["server"] == ("/run/\udcff.sock", None)
    assert scope["headers"] == [
        (b"host", b"h"),
        (b"x-\xe4", b"v\xff"),
        (b"cookie", b"c=1"),
        (b"", b""),
        (b"host", b"h"),
    ]
    assert scope["state"] == state and scope["state"] is not state and scope["state"]["a"] is state["a"]


@pytest.mark.parametrize("version, name", [(0, "1.0"), (1, "1.1"), (2, "2"), (3, "3")])
def test_versions(version, name):
    assert scope_of(version=version)["http_version"] == name


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "GETS", "G", ""])
def test_methods(method):
    assert scope_of(method=method.encode())["method"] == method


def test_header_of_one_name_changes():
    """Pairs that are kept for the next request are those of their own value."""
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["headers"])
        await respond(send)

    values = [b"a", b"a", b"b", b"", b"x" * 1000, b"a", b"b" * 127, b"b" * 128, b"b" * 129]

    async def script(front):
        for value in values:
            await front.request(headers=[(2, value), (11, value), (12, value)])

    run(app, script)
    assert seen == [[(b"connection", value), (b"authorization", value), (b"cookie", value)] for value in values]
    assert seen[0][0] is seen[1][0] and seen[0][1] is not seen[1][1] and seen[0][2] is not seen[1][2]


def test_addresses_change():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["client"], scope["server"]))
        await respond(send)

    hosts = [(b"10.0.0.1", 1), (b"10.0.0.1", 257), (b"10.0.0.2", 1), (b"::1", 65535), (b"10.0.0.1", 1), (b"x", -1)]

    async def script(front):
        for host, port in hosts:
            await front.request(client=host, client_port=port, server=host, server_port=port)

    run(app, script)
    expected = [(host.decode(), None if port < 0 else port) for host, port in hosts]
    assert seen == [(pair, pair) for pair in expected]


# ----------------------------------------------------------------- wrong events

START_FIRST = "Expected ASGI message 'http.response.start', but got '%s'."
BODY_NEXT = "Expected ASGI message 'http.response.body', but got '%s'."


@pytest.mark.parametrize(
    "before, message, text",
    [
        (0, body(b"x"), START_FIRST % "http.response.body"),
        (0, {"type": "websocket.accept"}, START_FIRST % "websocket.accept"),
        (1, START, BODY_NEXT % "http.response.start"),
        (1, {"type": "nonsense"}, BODY_NEXT % "nonsense"),
        (2, START, BODY_NEXT % "http.response.start"),
        (2, {"type": "http.response.trailers"}, BODY_NEXT % "http.response.trailers"),
    ],
)
def test_wrong_order(loop, before, message, text):
    """In uvicorn's words, at the send() that is wrong; and the right one still works."""

    async def app(scope, receive, send):
        right = [START, body(b"do", True), body(b"ne")]
        for event in right[:before]:
            await send(event)
        with pytest.raises(RuntimeError) as caught:
            await send(message)
        assert str(caught.value) == text
        for event in right[before:]:
            await send(event)

    async def script(front):
        assert await front.request() == (200, [], b"done", True)

    assert not run(app, script, loop).reports


def test_after_the_response(loop):
    """ "any further messages on the channel will be ignored" (ASGI HTTP, Response Body)"""
    ended = []

    async def app(scope, receive, send):
        await respond(send)
        await send(START)
        await send(body(b"more", True))
        await send(body(b"more"))
        with pytest.raises(RuntimeError, match="nonsense"):
            await send({"type": "nonsense"})
        for _ in range(3):
            assert await receive() == {"type": "http.disconnect"}
        ended.append(True)

    async def script(front):
        assert await front.request() == (200, [], b"done", True)

    assert not run(app, script, loop).reports
    assert ended


@pytest.mark.parametrize(
    "message, error, text",
    [
        (None, TypeError, "NoneType"),
        ([], TypeError, "list"),
        ("http.response.start", TypeError, "str"),
        ({}, KeyError, "type"),
        ({"type": 1}, TypeError, "int"),
        ({"type": "http.response.start"}, RuntimeError, "status"),
        ({"type": "http.response.start", "status": "200"}, TypeError, "status.*'200'"),
        ({"type": "http.response.start", "status": 100}, RuntimeError, "200 to 999"),
        ({"type": "http.response.start", "status": 1 << 70}, RuntimeError, "200 to 999"),
        ({"type": "http.response.start", "status": -200}, RuntimeError, "200 to 999"),
        ({"type": "http.response.start", "status": 65736}, RuntimeError, "200 to 999"),
        ({"type": "http.response.start", "status": 200, "headers": 1}, TypeError, "iterable of pairs"),
        ({"type": "http.response.start", "status": 200, "headers": [1]}, TypeError, "pairs"),
        ({"type": "http.response.start", "status": 200, "headers": [(b"a",)]}, TypeError, "pairs"),
        ({"type": "http.response.start", "status": 200, "headers": [("a", b"b")]}, TypeError, "pairs"),
        ({"type": "http.response.start", "status": 200, "headers": [(b"a", "b")]}, TypeError, "pairs"),
        ({"type": "http.response.start", "status": 200, "headers": [(b"a", None)]}, TypeError, "pairs"),
        ({"type": "http.response.start", "status": 200, "headers": [(b"a b", b"")]}, RuntimeError, "header name"),
        ({"type": "http.response.start", "status": 200, "headers": [(b"", b"")]}, RuntimeError, "header name"),
        ({"type": "http.response.start", "status": 200, "headers": [(b"a\r\nb", b"")]}, RuntimeError, "header name"),
        (
            {"type": "http.response.start", "status": 200, "headers": [(b"a", b"\r\nx: y")]},
            RuntimeError,
            "header value",
        ),
        ({"type": "http.response.start", "status": 200, "headers": [(b"a", b"\0")]}, RuntimeError, "header value"),
        (
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"-1")]},
            RuntimeError,
            "Length",
        ),
        ({"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"")]}, RuntimeError, "Length"),
        (
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9" * 30)]},
            RuntimeError,
            "Len",
        ),
        (
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % i) for i in (1, 2)]},
            RuntimeError,
            "Length",
        ),
        ({"type": "http.response.start", "status": 200, "headers": [(b"a", b"x" * 300000)]}, RuntimeError, "at most"),
    ],
)
def test_wrong_events(message, error, text):
    """What is wrong is said at the send(), nothing of it is kept, and the right event still works."""

    async def app(scope, receive, send):
        with pytest.raises(error, match=text):
            await send(message)
        await respond(send)

    async def script(front):
        assert await front.request() == (200, [], b"done", True)

    assert not run(app, script).reports


@pytest.mark.parametrize("data", ["text", None, 1, [], memoryview(b"abcdef")[::2]])
def test_wrong_bodies(data):
    async def app(scope, receive, send):
        await send(START)
        with pytest.raises(TypeError, match="bytes"):
            await send(body(data))
        await send(body(b"done"))

    async def script(front):
        assert await front.request() == (200, [], b"done", True)

    assert not run(app, script).reports


def test_errors_of_messages():
    """Exceptions out of messages that are Python code come through as they are."""

    class Error(Exception):
        pass

    class Broken(collections.UserDict):
        def __init__(self, key, data):
            super().__init__(data)
            self.key = key

        def __getitem__(self, key):
            if key == self.key:
                raise Error(key)
            return self.data[key]

    def headers():
        yield (b"a", b"b")
        raise Error("headers")

    class Truth:
        def __bool__(self):
            raise Error("truth")

    async def app(scope, receive, send):
        for key in ("type", "status", "headers"):
            with pytest.raises(Error, match=key):
                await send(Broken(key, START))
        with pytest.raises(Error, match="headers"):
            await send({**START, "headers": headers()})
        await send(START)
        for key in ("type", "body", "more_body"):
            with pytest.raises(Error, match=key):
                await send(Broken(key, body(b"x")))
        with pytest.raises(Error, match="truth"):
            await send(body(b"x", Truth()))
        await send(body(b"done"))

    async def script(front):
        assert await front.request() == (200, [], b"done", True)

    assert not run(app, script).reports


# --------------------------------------------------------------------- responses


def test_head_and_first_body_in_one_record(loop):
    headers = [(b"a", b"1"), [b"B", b"\xff\t"], (b"a", b"")]

    async def app(scope, receive, send):
        message = {"type": "http.response.start", "status": http.HTTPStatus.CREATED, "headers": iter(headers)}
        await send(message)
        await asyncio.sleep(0)
        message["headers"] = None
        headers[1][1] = b"changed"
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        await send({"type": "http.response.body", "more_body": True})
        await send({"type": "http.response.body"})

    async def script(front):
        front.open()
        event = await front.next("start")
        assert (event.status, event.body, event.more) == (201, b"1", True)
        assert event.headers == [(b"a", b"1"), (b"B", b"\xff\t"), (b"a", b"")]
        event = await front.next("part")  # the empty part in the middle says nothing
        assert (event.body, event.more) == (b"", False)
        await front.next("end")

    assert not run(app, script, loop).reports


@pytest.mark.parametrize("method, status", [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
def test_no_content(method, status):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"5")]})
        await send(body(b"ab" * 100000, True))
        await send(body(b""))

    async def script(front):
        assert await front.request(method=method) == (status, [(b"content-length", b"5")], b"", True)

    assert not run(app, script).reports


def test_content_length():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"004")]})
        await send(body(b"do", True))
        with pytest.raises(RuntimeError, match="^Response content longer than Content-Length$"):
            await send(body(b"nes"))
        await send(body(b"ne"))

    async def script(front):
        assert await front.request() == (200, [(b"Content-Length", b"004")], b"done", True)

    assert not run(app, script).reports


def test_content_shorter():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        with pytest.raises(RuntimeError, match="^Response content shorter than Content-Length$"):
            await send(body(b"done"))

    async def script(front):
        assert await front.request() == (200, [(b"content-length", b"5")], b"done", False)

    run(app, script)


def test_largest_head(loop):
    """A head of any size that is taken fits into a record together with a part of the body."""
    value = b"x" * 1000

    async def app(scope, receive, send):
        count = 1000
        while True:
            try:
                await send({"type": "http.response.start", "status": 200, "headers": [(b"n%d" % count, value)] * count})
                break
            except RuntimeError:
                count -= 1
        await send(body(b"y" * 200000))

    async def script(front):
        status, headers, content, complete = await front.request()
        assert status == 200 and len(headers) * 1000 > WINDOW // 2 and content == b"y" * 200000 and complete

    assert not run(app, script, loop).reports


@pytest.mark.parametrize("process", [0, None], ids=["copied", "lent"])
def test_bodies(loop, process):
    """Bodies of all sizes and types; large ones are lent to a front in the same process."""
    sizes = [0, 1, 7, 8, 9, 16383, 16384, 65535, 65536, 65537, 300001]

    async def app(scope, receive, send):
        await send(START)
        for size in sizes:
            data = os.urandom(size) if size else b""
            sent.append(data)
            await send(body(data, True))
            sent.append(data)
            await send(body(bytearray(data), True))
            sent.append(data)
            await send(body(memoryview(data).cast("B"), True))
        await send(body())

    async def script(front):
        for _ in range(5):
            sent.clear()
            status, _, content, complete = await front.request()
            assert complete and content == b"".join(sent)

    sent = []
    assert not run(app, script, loop, process=os.getpid() if process is None else 0).reports


# ----------------------------------------------------------------------- order


def test_sends_of_several_tasks(loop, eager):
    """Events go out in the order in which their steps were first stepped, also when each must wait for credit."""

    async def app(scope, receive, send):
        await send(START)
        parts = [bytes([i]) * SIZE for i in range(20)]
        tasks = [asyncio.create_task(send(body(part, True))) for part in parts]
        last = asyncio.create_task(send(body()))
        await asyncio.gather(*tasks, last)
        expected.append(b"".join(parts))

    expected = []

    async def script(front):
        _, _, content, complete = await front.request()
        assert complete and content == expected[0]

    assert not run(app, script, loop, eager=eager).reports


def test_receives_of_several_tasks(loop, eager):
    """Each part goes to the one that has waited longest."""
    got = []

    async def app(scope, receive, send):
        async def one(number):
            got.append((number, await receive()))

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(one(number))
        await respond(send)

    async def script(front):
        front.open(more=True)
        await front.next("want")
        for data in (b"0", b"1", b"2"):
            front.body(data)
            while len(got) <= int(data):
                await asyncio.sleep(0)
        front.body(b"3", more=False)
        await front.response()

    assert not run(app, script, loop, eager=eager).reports
    assert [(number, event["body"], event["more_body"]) for number, event in got] == [
        (0, b"0", True),
        (1, b"1", True),
        (2, b"2", True),
        (3, b"3", False),
    ]


@pytest.mark.parametrize("cancelled", [(0,), (1,), (0, 1), (0, 1, 2)])
def test_cancelled_receive_loses_nothing(loop, cancelled):
    got = []

    async def app(scope, receive, send):
        tasks = [asyncio.create_task(receive()) for _ in range(3)]
        await asyncio.sleep(0)
        for number in cancelled:
            tasks[number].cancel()
        await asyncio.sleep(0)
        ready.set()
        while not got or got[-1]["more_body"]:
            left = [task for task in tasks if not task.cancelled()]
            tasks.clear()
            got.append(await (left[0] if left else receive()))
            tasks.extend(left[1:])
        await respond(send)
        assert [await task for task in tasks if not task.cancelled()] == [{"type": "http.disconnect"}] * len(tasks)

    async def script(front):
        front.open(more=True)
        await ready.wait()
        front.body(b"a")
        for _ in range(10):
            await asyncio.sleep(0)
        front.body(b"b", more=False)
        await front.response()

    ready = asyncio.Event()
    assert not run(app, script, loop).reports
    assert b"".join(event["body"] for event in got) == b"ab"


def test_cancelled_receive_that_was_woken(loop):
    """The part is here and the first of two has been told; then it is cancelled, and the second gets the part."""
    tasks = []

    async def app(scope, receive, send):
        tasks.extend(asyncio.create_task(receive()) for _ in range(2))
        assert await tasks[1] == {"type": "http.request", "body": b"a", "more_body": False}
        assert tasks[0].cancelled()
        await respond(send)

    async def script(front):
        front.open(more=True)
        await front.next("want")
        front.body(b"a", more=False)
        front.link.drain()
        tasks[0].cancel()
        assert (await front.response())[2:] == (b"done", True)

    assert not run(app, script, loop).reports


def test_cancelled_send(loop):
    """A send() that waits behind another and is cancelled sends nothing; the others go on."""

    async def app(scope, receive, send):
        await send(START)
        tasks = [asyncio.create_task(send(body(bytes([65 + i]) * SIZE, True))) for i in range(4)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        ready.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [task.cancelled() for task in tasks] == [False, False, True, False]
        await send(body())

    async def script(front):
        front.open()
        await ready.wait()
        assert await front.response() == (200, [], b"".join(letter * SIZE for letter in (b"A", b"B", b"D")), True)

    ready = asyncio.Event()
    assert not run(app, script, loop).reports


def test_cancelled_in_the_middle(loop):
    """A send() of which a part is gone when it is cancelled breaks the response off: later ones fail."""

    async def app(scope, receive, send):
        await send(START)
        task = asyncio.create_task(send(body(b"x" * (WINDOW + 1000), True)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(OSError):
            await send(body(b"rest"))
        assert await receive() == {"type": "http.disconnect"}

    async def script(front):
        _, _, content, complete = await front.request(credit=False)
        assert not complete and len(content) == WINDOW

    run(app, script, loop)


def test_last_send_that_waits_is_not_the_end(loop):
    """While the last part waits for credit, receive() says nothing of a disconnect (Starlette's StreamingResponse,
    which listens beside sending, would cancel the send)."""
    order = []

    async def app(scope, receive, send):
        await receive()
        await send(START)

        async def last():
            await send(body(b"x" * (4 * WINDOW)))
            order.append("sent")

        async def listen():
            assert await receive() == {"type": "http.disconnect"}
            order.append("disconnect")

        await asyncio.gather(last(), listen(), listen())

    async def script(front):
        assert (await front.request())[2:] == (b"x" * (4 * WINDOW), True)

    assert not run(app, script, loop).reports
    assert order[0] == "sent"
