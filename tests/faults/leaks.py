#!/usr/bin/env python3
"""Requests, uploads, disconnects and exceptions, many of each: nothing may stay behind.

REQUESTS is how many there are in all, 200,000 by default:

    REQUESTS=20000 python tests/faults/leaks.py

Memory and object counts are taken after a tenth of them, when caches are warm, and at the end. tracemalloc watches a
run of its own, since it slows everything down.
"""

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import process  # noqa: E402
import wire  # noqa: E402

# What an upload, a disconnect or an exception costs the tests in time, against a plain request.
SHARES = {
    "hello": 0.7,
    "upload": 0.1,
    "exception": 0.1,
    "late exception": 0.02,
    "disconnect": 0.06,
    "broken upload": 0.02,
}
PIPELINE = 50


def hello(port, count):
    with wire.Connection(port) as connection:
        while count > 0:
            n = min(count, PIPELINE)
            connection.send(b"GET /hello?q=1 HTTP/1.1\r\nHost: test\r\nX-Own: value\r\nCookie: a=1\r\n\r\n" * n)
            for _ in range(n):
                assert connection.response().body == b"hello"
            count -= n


def upload(port, count):
    sizes = [0, 100, 10_000, 70_000, 200_000]
    with wire.Connection(port) as connection:
        for n in range(count):
            size = sizes[n % len(sizes)]
            assert connection.post("/drain", b"x" * size, chunked=n % 2 == 0).body == b"%d" % size


def exception(port, count):
    with wire.Connection(port) as connection:
        for _ in range(count):
            response = connection.get("/fails")
            assert response.status == 500
            if response.get("connection") == "close":
                connection.close()
                connection.__init__(port)


def late_exception(port, count):
    for _ in range(count):
        assert not wire.once(port, "/fails_late").whole


def disconnect(port, count):
    for n in range(count):
        connection = wire.Connection(port, receive_buffer=4096)
        if n % 2:
            connection.request(target="/waits")
            connection.close()
        else:
            connection.request(target="/stream?1000000")
            connection.fill()
            connection.reset()


def broken_upload(port, count):
    for n in range(count):
        connection = wire.Connection(port)
        connection.send(b"POST /drain HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n" + b"x" * (n % 1000))
        connection.close()


WORK = {
    "hello": hello,
    "upload": upload,
    "exception": exception,
    "late exception": late_exception,
    "disconnect": disconnect,
    "broken upload": broken_upload,
}


def round_of(server, count):
    for kind, share in SHARES.items():
        WORK[kind](server.port, max(1, int(count * share)))


def state(server):
    """What is alive once everything that was begun is over: when nothing changes any more."""

    def counts():
        return json.loads(wire.once(server.port, "/counts").body)

    def settled():
        one, two = counts(), counts()
        return two if one["tasks"] == two["tasks"] <= 2 and one["objects"] == two["objects"] else None

    answer = wire.eventually(settled, "the tasks of clients that left are over", 60)
    return {**answer, "resident": server.resident(), "descriptors": server.descriptors()}


def check(requests, traced, *flags, show=print):
    """Runs so many requests and returns what is wrong, as a list of sentences."""
    servers = process.Servers()
    try:
        env = {"TRACEMALLOC": "1"} if traced else {}
        server = servers("memory:app", "--no-access-log", "--log-level", "critical", *flags, env=env)
        round_of(server, requests // 10)
        state(server)  # itself costs something once
        before = state(server)
        for _ in range(9):
            round_of(server, requests // 10)
        after = state(server)
        assert server.stop() == 0
    finally:
        servers.close()
    grown = {
        name: (before["types"].get(name, 0), count)
        for name, count in after["types"].items()
        if count > before["types"].get(name, 0) + 50
    }
    show(
        f"{requests} requests{' under tracemalloc' if traced else ''}: "
        f"memory {before['resident'] >> 10} -> {after['resident'] >> 10} KiB, "
        f"objects {before['objects']} -> {after['objects']}, "
        f"descriptors {before['descriptors']} -> {after['descriptors']}, tasks {after['tasks']}"
        + (f", traced {before['traced']} -> {after['traced']} bytes" if traced else "")
    )
    wrong = []
    if grown or after["objects"] > before["objects"] + 200:
        wrong.append(f"objects stay: {grown}, {before['objects']} -> {after['objects']}")
    if after["descriptors"] > before["descriptors"] + 2:
        wrong.append(f"descriptors stay: {before['descriptors']} -> {after['descriptors']}")
    # Heaps fragment and Go's grows in steps; a leak of 100 bytes a request is 16 MiB in a long run.
    if after["resident"] > before["resident"] + max(4 << 20, 50 * requests):
        wrong.append(f"memory grows: {before['resident'] >> 10} -> {after['resident'] >> 10} KiB")
    if traced and after["traced"] > before["traced"] + 200_000:
        wrong.append(f"traced memory grows: {before['traced']} -> {after['traced']}: {after.get('grown')}")
    return wrong


def main():
    requests = int(os.environ.get("REQUESTS", "200000"))
    wrong = check(requests, traced=False) + check(requests // 10, traced=True)
    for sentence in wrong:
        print(sentence)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
