"""HTTP/1.1 and 1.0 on the wire: keep-alive, pipelining, framing, Expect, the server's own headers."""

import email.utils
import time

import pytest
import wire


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("http1:app")


@pytest.fixture
def connection(server):
    with wire.Connection(server.port) as connection:
        yield connection


@pytest.mark.parametrize("target", ["/length", "/one_event", "/chunks"])
def test_keep_alive(connection, target):
    for _ in range(3):
        response = connection.get(target)
        assert response.version == "HTTP/1.1"
        assert response.whole and response.body == b"onetwothree"
        assert response.get("connection") in (None, "keep-alive")


def test_framing(connection):
    response = connection.get("/length")
    assert response["content-length"] == "11" and not response.all("transfer-encoding")
    # A body that came whole needs no chunks.
    response = connection.get("/one_event")
    assert response["content-length"] == "11" and not response.all("transfer-encoding")
    response = connection.get("/chunks")
    assert response["transfer-encoding"] == "chunked" and not response.all("content-length")


@pytest.mark.parametrize("target", ["/length", "/one_event", "/chunks"])
def test_http10_closes(connection, target):
    response = connection.get(target, version="1.0")
    # https://www.rfc-editor.org/rfc/rfc9112#section-6.1
    # "A server MUST NOT send a response containing Transfer-Encoding unless the corresponding request indicates
    # HTTP/1.1 (or later minor revisions)."
    assert response.body == b"onetwothree" and not response.all("transfer-encoding")
    assert connection.rest() == b""


def test_http10_keep_alive(connection):
    for _ in range(3):
        response = connection.get("/length", [("Connection", "keep-alive")], version="1.0")
        assert response.whole and response["connection"].lower() == "keep-alive"


def test_http10_without_host(connection):
    connection.send(b"GET /length HTTP/1.0\r\n\r\n")
    assert connection.response().body == b"onetwothree"


@pytest.mark.parametrize("value", ["close", "Close", "keep-alive, close", "close, x-other"])
def test_connection_close_of_the_request(connection, value):
    response = connection.get("/length", [("Connection", value)])
    assert response.whole and response["connection"] == "close"
    assert connection.rest() == b""


def test_connection_close_of_the_application(connection):
    response = connection.get("/closes")
    assert response.body == b"closes" and response["connection"] == "close"
    assert connection.rest() == b""


def test_pipelined_requests_are_answered_in_order(connection):
    targets = ["/slow?1", "/chunks", "/slow?2", "/length", "/no_content", "/slow?3"]
    connection.send("".join(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n" for target in targets).encode())
    bodies = [connection.response().body for _ in targets]
    assert bodies == [b"1", b"onetwothree", b"2", b"onetwothree", b"", b"3"]


def test_pipelined_requests_with_bodies(connection):
    request = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%s"
    bodies = [b"%d" % n * n * 1000 for n in range(1, 6)]
    connection.send(b"".join(request % (len(body), body) for body in bodies))
    assert [connection.response().body for _ in bodies] == bodies


def test_request_in_single_bytes(connection):
    for byte in b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody":
        connection.send(bytes([byte]))
    assert connection.response().body == b"body"


@pytest.mark.parametrize("size", [0, 1, 1000, 65_535, 65_536, 65_537, 1_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_of_requests(connection, size, chunked):
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    response = connection.post("/echo", body, chunked=chunked)
    assert response.whole and response.body == body
    assert connection.get("/length").body == b"onetwothree"


def test_chunks_with_extensions_and_trailers(connection):
    connection.send(
        b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: Chunked\r\n\r\n"
        b'3;name=value\r\none\r\n0003\r\ntwo\r\n5;a="b"\r\nthree\r\n0\r\nX-Trailer: 1\r\n\r\n'
    )
    assert connection.response().body == b"onetwothree"
    assert connection.get("/length").body == b"onetwothree"


@pytest.mark.parametrize("size", [16, 65_536, 1_000_000, 16_000_000])
def test_bodies_of_responses(connection, size):
    response = connection.get(f"/big?{size}")
    assert response.whole and response.body == b"0123456789abcdef" * (size // 16)


def test_body_that_the_application_does_not_read(connection):
    for _ in range(3):
        response = connection.post("/unread", b"x" * 1000)
        assert response.status == 200 and response.body == b"unread"
        if response.get("connection") == "close":
            break


def test_big_body_that_the_application_does_not_read(server):
    with wire.Connection(server.port) as connection:
        connection.send(b"POST /unread HTTP/1.1\r\nHost: test\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 100_000)
        # The answer must be readable although the upload is not over.
        assert connection.response().body == b"unread"


def test_parts_go_both_ways_at_once(connection):
    connection.send(b"POST /echo_parts HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.send(b"3\r\none\r\n")
    assert connection.until(b"ONE\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
    connection.send(b"3\r\ntwo\r\n")
    assert connection.until(b"TWO\r\n") == b"3\r\nTWO\r\n"
    connection.send(b"0\r\n\r\n")
    assert connection.until(b"0\r\n\r\n") == b"0\r\n\r\n"


def test_first_part_is_sent_at_once(connection):
    connection.request(target="/flush")
    assert connection.until(b"first\r\n").endswith(b"5\r\nfirst\r\n")


def test_expect_100_continue_when_the_application_asks(server, connection):
    start = len(server.output())
    connection.send(b"POST /late_reader HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    server.wait_output("late_reader: called", start=start)
    interim = connection.head()
    assert interim.status == 100
    server.wait_output("late_reader: asks", start=start)
    connection.send(b"body")
    assert connection.response().body == b"body"


def test_expect_100_continue_is_not_answered_if_nobody_asks(connection):
    connection.send(b"POST /refuses HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    response = connection.response()
    assert response.status == 413 and response.interim == []


def test_no_100_continue_if_the_body_is_there(connection):
    connection.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody")
    response = connection.response()
    assert response.body == b"body" and len(response.interim) <= 1


def test_http10_never_gets_100_continue(connection):
    # https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1
    # "A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore that expectation."
    connection.send(b"POST /echo HTTP/1.0\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    connection.send(b"body")
    assert connection.response().interim == []


@pytest.mark.parametrize("target", ["/length", "/one_event", "/chunks"])
def test_head(connection, target):
    for _ in range(2):
        connection.request("HEAD", target)
        response = connection.response("HEAD")
        assert response.status == 200
        # https://www.rfc-editor.org/rfc/rfc9110#section-8.6: it may be left out if it is known only after the body.
        assert response.get("content-length") in (["11"] if target == "/length" else [None, "11"])
    assert connection.get("/length").body == b"onetwothree"


@pytest.mark.parametrize("target", ["/no_content", "/no_content?body", "/not_modified"])
def test_responses_without_body(connection, target):
    response = connection.get(target)
    assert response.status in (204, 304)
    # https://www.rfc-editor.org/rfc/rfc9110#section-8.6
    # "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx or 204."
    assert not response.all("transfer-encoding")
    assert response.status == 304 or not response.all("content-length")
    if "?body" not in target:
        assert connection.get("/length").body == b"onetwothree"
    else:
        assert b"body" not in connection.buffer


@pytest.mark.parametrize("target", ["/transfer_encoding", "/transfer_encoding_and_length"])
def test_transfer_encoding_of_the_application_is_ignored(connection, target):
    for _ in range(2):
        response = connection.get(target)
        assert response.whole and response.body == b"onetwothree"
        assert response.all("transfer-encoding") in ([], ["chunked"])


def test_order_and_repetition_of_headers(connection):
    response = connection.get("/repeated")
    assert response.all("set-cookie") == ["a=1", "b=2"]
    names = [name.lower() for name, _ in response.headers if name.lower() in ("set-cookie", "x-other")]
    assert names == ["set-cookie", "x-other", "set-cookie"]


def test_date_and_server(connection):
    before = int(time.time())
    response = connection.get("/length")
    date = email.utils.parsedate_to_datetime(response["date"]).timestamp()
    assert before - 2 <= date <= time.time() + 1
    assert response["date"].endswith(" GMT")
    assert response["server"] == "goasgi"


def test_date_moves_on(connection):
    first = connection.get("/length")["date"]
    wire.eventually(lambda: connection.get("/length")["date"] != first, "another date")


def test_own_date_and_server_are_not_doubled(connection):
    response = connection.get("/own_headers")
    assert response["date"] == "Tue, 15 Nov 1994 08:12:31 GMT"
    assert response["server"] == "mine"


def test_date_and_server_can_be_left_out(serve):
    server = serve("hello:app", "--no-server-header", "--no-date-header")
    response = wire.once(server.port)
    assert not response.all("server") and not response.all("date")


def test_further_headers(serve):
    server = serve("hello:app", "--header", "X-One: 1", "--header", "X-Two:two, three", "--header", "Server: other")
    response = wire.once(server.port)
    assert response["x-one"] == "1" and response["x-two"] == "two, three"
    assert response["server"] == "other"


@pytest.mark.parametrize("size, status", [(60_000, 200), (70_000, 431), (1_000_000, 431)])
def test_limit_of_the_head(connection, size, status):
    try:
        connection.request(target="/length", headers=[("X-Big", "v" * size)])
    except ConnectionError:
        pass  # refused before the end of it
    assert connection.response().status == status
    if status != 200:
        assert connection.rest() == b""


def test_limit_of_the_target(connection):
    connection.request(target="/length?" + "q" * 70_000)
    assert connection.response().status in (414, 431)


@pytest.mark.parametrize("fields, status", [(98, 200), (101, 431)])
def test_limit_of_fields(connection, fields, status):
    response = connection.get("/length", [(f"X-{n}", "v") for n in range(fields)])
    assert response.status == status


@pytest.mark.parametrize("size", [1000, 10_000, 100_000])
def test_big_response_headers(connection, size):
    for _ in range(2):
        response = connection.get(f"/big_header?{size}")
        assert response.status == 200 and response["x-big"] == "v" * size


def test_response_headers_that_do_not_fit_are_a_clear_error(server, connection):
    start = len(server.output())
    assert connection.get("/big_header?1000000").status == 500
    server.wait_output("RuntimeError: .*headers.* bytes long", start=start)
    assert connection.get("/length").status == 200


def test_head_and_body_in_one_packet(connection):
    """Over loopback, what one system call wrote is what one read gives."""
    connection.request(target="/one_event")
    connection.fill()
    assert connection.buffer.startswith(b"HTTP/1.1 200 OK\r\n") and connection.buffer.endswith(b"\r\n\r\nonetwothree")


def test_many_connections_at_once(server):
    connections = [wire.Connection(server.port) for _ in range(500)]
    for n, connection in enumerate(connections):
        connection.request("POST", "/echo", body=b"%d" % n)
    for n, connection in enumerate(connections):
        assert connection.response().body == b"%d" % n
    for connection in connections:
        connection.close()


def test_upload_with_slow_reader_and_fast_reader_together(server):
    with wire.Connection(server.port) as one, wire.Connection(server.port) as two:
        one.send(b"POST /count HTTP/1.1\r\nHost: test\r\nContent-Length: 200000\r\n\r\n")
        for n in range(20):
            one.send(b"x" * 10_000)
            assert two.post("/count", b"y" * 20_000).body == b"20000"
        assert one.response().body == b"200000"
