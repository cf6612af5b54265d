"""What is ambiguous in a request is refused, and the connection is closed."""

import pytest
import wire

HEAD = b"POST /echo HTTP/1.1\r\nHost: test\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"

REFUSED = {
    "two lengths": HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
    "two lengths in one": HEAD + b"Content-Length: 4, 5\r\n\r\nbody",
    "length and chunked": HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "length with a sign": HEAD + b"Content-Length: +4\r\n\r\nbody",
    "negative length": HEAD + b"Content-Length: -4\r\n\r\nbody",
    "length in hex": HEAD + b"Content-Length: 0x4\r\n\r\nbody",
    "length with a space": HEAD + b"Content-Length: 4 4\r\n\r\nbody",
    "empty length": HEAD + b"Content-Length:\r\n\r\nbody",
    "length too big": HEAD + b"Content-Length: 99999999999999999999\r\n\r\nbody",
    "length with an underscore": HEAD + b"Content-Length: 1_0\r\n\r\n0123456789",
    "twice chunked": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two transfer codings": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked is not last": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "unknown transfer coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "space before the colon": HEAD + b"Content-Length : 4\r\n\r\nbody",
    "space in a name": HEAD + b"X Y: 1\r\n\r\n",
    "empty name": HEAD + b": 1\r\n\r\n",
    "no colon": HEAD + b"nonsense\r\n\r\n",
    "folded line": HEAD + b"X-A: 1\r\n 2\r\n\r\n",
    "bare LF in the head": b"GET / HTTP/1.1\nHost: test\n\n",
    "bare LF after a field": b"GET / HTTP/1.1\r\nHost: test\nX-A: 1\r\n\r\n",
    "bare CR in a value": HEAD + b"X-A: 1\r2\r\n\r\n",
    "bare CR in a name": HEAD + b"X\rA: 1\r\n\r\n",
    "NUL in a value": HEAD + b"X-A: 1\x002\r\n\r\n",
    "control character in a name": HEAD + b"X\x01A: 1\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: test\r\n\r\n",
    "control character in the target": b"GET /a\x01b HTTP/1.1\r\nHost: test\r\n\r\n",
    "no version": b"GET /\r\nHost: test\r\n\r\n",
    "bad version": b"GET / HTTP/1.x\r\nHost: test\r\n\r\n",
    "bad method": b"G@T / HTTP/1.1\r\nHost: test\r\n\r\n",
    "lower-cased protocol": b"GET / http/1.1\r\nHost: test\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: test\r\nHost: other\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "chunked in HTTP/1.0": b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 600,
}
IN_THE_BODY = {
    "chunk size that is no number": b"zz\r\nbody\r\n0\r\n\r\n",
    "negative chunk size": b"-4\r\nbody\r\n0\r\n\r\n",
    "chunk size with 0x": b"0x4\r\nbody\r\n0\r\n\r\n",
    "chunk size that is too big": b"fffffffffffffffff\r\nbody\r\n0\r\n\r\n",
    "empty chunk size": b"\r\nbody\r\n0\r\n\r\n",
    "chunk longer than its size": b"3\r\nbody\r\n0\r\n\r\n",
    "chunk that ends with LF": b"4\r\nbody\n0\r\n\r\n",
    "chunk size that ends with LF": b"4\nbody\r\n0\r\n\r\n",
    "trailer without colon": b"0\r\nnonsense\r\n\r\n",
}


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("http1:app")


@pytest.mark.parametrize("what", REFUSED)
def test_refused_with_400_and_close(server, what):
    start = len(server.output())
    with wire.Connection(server.port) as connection:
        connection.send(REFUSED[what] + SMUGGLED)
        response = connection.response()
        # 501: https://www.rfc-editor.org/rfc/rfc9112#section-6.1, "A server that receives a request message with a
        # transfer coding it does not understand SHOULD respond with 501 (Not Implemented)." 505: bad version.
        assert response.status in ((400, 501) if "coding" in what else (400, 505) if "version" in what else (400,))
        assert response["connection"] == "close"
        assert connection.rest() == b""
    assert wire.once(server.port, "/length").status == 200
    assert "smuggled" not in server.output()[start:]


@pytest.mark.parametrize("what", IN_THE_BODY)
def test_refused_in_the_body(server, what):
    start = len(server.output())
    with wire.Connection(server.port) as connection:
        connection.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + IN_THE_BODY[what] + SMUGGLED)
        try:
            assert connection.response().status in (400, 500)
        except wire.Closed:
            pass
        assert connection.rest() == b""
    assert wire.once(server.port, "/length").status == 200
    assert "smuggled" not in server.output()[start:]


def test_error_does_not_echo_the_request(server):
    with wire.Connection(server.port) as connection:
        connection.send(b"GET /<script>alert(1)</script> nonsense HTTP/1.1\r\nHost: test\r\n\r\n")
        response = connection.response()
        assert response.status == 400 and b"script" not in response.body
        assert response["content-type"].startswith("text/plain")


def test_empty_lines_before_a_request(server):
    # https://www.rfc-editor.org/rfc/rfc9112#section-2.2: "a server [...] SHOULD ignore at least one empty line (CRLF)
    # received prior to the request-line"
    with wire.Connection(server.port) as connection:
        connection.send(b"\r\nGET /length HTTP/1.1\r\nHost: test\r\n\r\n")
        assert connection.response().status == 200


def test_equal_lengths_twice(server):
    # https://www.rfc-editor.org/rfc/rfc9110#section-8.6: a recipient may accept a repeated equal value, or refuse it.
    with wire.Connection(server.port) as connection:
        connection.send(HEAD + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody")
        response = connection.response()
        assert response.status in (200, 400)
        assert response.status == 400 or response.body == b"body"
