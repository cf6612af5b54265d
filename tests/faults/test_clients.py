"""Clients that misbehave, in numbers: the server lives on and gives everything back."""

import os
import random

import pytest
import wire


@pytest.fixture
def server(serve):
    return serve("http1:app", "--no-access-log")


def settled(server, before):
    wire.eventually(lambda: server.descriptors() <= before + 2, f"descriptors come back to {before}")
    assert wire.once(server.port, "/length").body == b"onetwothree"


def test_garbage(server):
    source = random.Random(1)
    before = server.descriptors()
    for _ in range(300):
        with wire.Connection(server.port) as connection:
            try:
                connection.send(source.randbytes(source.randrange(1, 3000)))
                connection.half_close()
                connection.rest()
            except OSError:
                pass
    settled(server, before)


def test_requests_cut_off_anywhere(server):
    request = b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    before = server.descriptors()
    for end in range(len(request)):
        for leave in (wire.Connection.close, wire.Connection.reset):
            connection = wire.Connection(server.port)
            connection.send(request[:end])
            leave(connection)
    settled(server, before)


def test_requests_split_anywhere(server):
    request = b"POST /echo?q HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    with wire.Connection(server.port) as connection:
        for at in range(1, len(request)):
            connection.send(request[:at])
            connection.send(request[at:])
            assert connection.response().body == b"body"


def test_mutated_requests(server):
    source = random.Random(2)
    request = (
        b"POST /echo?q=1 HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nX-A: b\r\n\r\nbody"
        b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    )
    before = server.descriptors()
    for _ in range(500):
        mutated = bytearray(request)
        for _ in range(source.randrange(1, 4)):
            mutated[source.randrange(len(mutated))] = source.randrange(256)
        with wire.Connection(server.port) as connection:
            try:
                connection.send(bytes(mutated))
                connection.half_close()
                connection.rest()
            except OSError:
                pass
    settled(server, before)


def test_connections_that_say_nothing(server):
    before = server.descriptors()
    silent = [wire.Connection(server.port) for _ in range(500)]
    assert wire.once(server.port, "/length").status == 200
    for connection in silent:
        connection.close()
    settled(server, before)


def test_resets_under_load(server):
    before = server.descriptors()
    for n in range(500):
        connection = wire.Connection(server.port, receive_buffer=4096)
        connection.request(target="/big?1000000")
        if n % 3:
            connection.fill()
        connection.reset()
    settled(server, before)


def test_pipeline_that_is_never_read(server):
    """A client that sends requests and reads no answer is stopped, and costs a bounded amount."""
    before = server.resident()
    with wire.Connection(server.port, receive_buffer=4096) as connection:
        connection.socket.settimeout(3)
        sent, block = 0, b"GET /big?100000 HTTP/1.1\r\nHost: test\r\n\r\n" * 1000
        try:
            while sent < 100 << 20:
                sent += connection.socket.send(block)
        except TimeoutError:
            pass
        assert sent < 100 << 20, "the server reads on and on"
        assert wire.once(server.port, "/length").status == 200
        assert server.resident() - before < 100 << 20
    assert wire.once(server.port, "/length").status == 200


def test_slow_head_is_no_reason_to_wait_for_others(server):
    slow = [wire.Connection(server.port) for _ in range(100)]
    for connection in slow:
        connection.send(b"GET /length HTTP/1.1\r\nHost")
    for _ in range(20):
        assert wire.once(server.port, "/length").status == 200
    for connection in slow:
        connection.send(b": test\r\n\r\n")
        assert connection.response().status == 200
        connection.close()


def test_server_that_is_killed_leaves_nothing(serve, tmp_path):
    before = set(os.listdir("/dev/shm"))
    server = serve("hello:app")
    server.kill()
    assert set(os.listdir("/dev/shm")) <= before
