"""The access log: one line a request, all of them there at the end."""

import re

import pytest
import wire

LINE = r'^INFO: +(\S+) - "(\S+) (\S+) HTTP/(\S+)" (\d+)(?: (.+?))?\r?$'


def lines(server):
    return re.findall(LINE, server.output(), re.MULTILINE)


def test_one_line_a_request(serve):
    server = serve("http1:app", "--no-use-colors")
    with wire.Connection(server.port) as connection:
        client = "{}:{}".format(*connection.socket.getsockname())
        connection.get("/length?q=1&r=%20")
        connection.post("/echo", b"body")
        connection.get("/not_modified")
        connection.get("/nothing")
        connection.get("/slow?1", version="1.0")
    assert server.stop() == 0
    assert lines(server) == [
        (client, "GET", "/length?q=1&r=%20", "1.1", "200", "OK"),
        (client, "POST", "/echo", "1.1", "200", "OK"),
        (client, "GET", "/not_modified", "1.1", "304", "Not Modified"),
        (client, "GET", "/nothing", "1.1", "404", "Not Found"),
        (client, "GET", "/slow?1", "1.0", "200", "OK"),
    ]


def test_all_lines_are_there_at_the_end(serve):
    server = serve("http1:app", "--no-use-colors")
    with wire.Connection(server.port) as connection:
        for _ in range(50):
            connection.send(b"GET /length HTTP/1.1\r\nHost: test\r\n\r\n" * 100)
            for _ in range(100):
                connection.response()
    assert server.stop() == 0
    assert len(lines(server)) == 5000


def test_lines_come_soon(serve):
    server = serve("http1:app", "--no-use-colors")
    with wire.Connection(server.port) as connection:
        connection.get("/length")
        server.wait_output(LINE, seconds=5)


def test_exception_is_logged_as_500(serve):
    server = serve("exceptions:app", "--no-use-colors")
    wire.once(server.port, "/before_start")
    assert server.stop() == 0
    assert [line[4] for line in lines(server)] == ["500"]


@pytest.mark.parametrize("flags", [["--no-access-log"], ["--log-level", "warning"]])
def test_turned_off(serve, flags):
    server = serve("http1:app", *flags)
    for _ in range(10):
        wire.once(server.port, "/length")
    assert server.stop() == 0
    assert "GET" not in server.output()


def test_lines_cannot_be_forged(serve):
    server = serve("http1:app", "--no-use-colors")
    with wire.Connection(server.port) as connection:
        connection.send(b"GET /%0aINFO:%20forged%1b[31m HTTP/1.1\r\nHost: test\r\n\r\n")
        connection.response()
        connection.send(b"GET /\x7f\xff\x1b[31m HTTP/1.1\r\nHost: test\r\n\r\n")
        try:
            connection.response()
        except wire.Closed:
            pass
    assert server.stop() == 0
    assert "\nINFO: forged" not in server.output()
    assert "\x1b" not in server.output()


def test_unix_socket_has_no_client(serve, tmp_path):
    server = serve("http1:app", "--no-use-colors", uds=tmp_path / "socket")
    wire.once(server.uds, "/length")
    assert server.stop() == 0
    assert re.search(r'INFO: +\S* ?- "GET /length HTTP/1.1" 200 OK', server.output())
