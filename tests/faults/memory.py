#!/usr/bin/env python3
"""Slow clients and an application that does not read: memory has to stay bounded by the byte credit.

Downloads of a stream of 100 MiB whose clients read next to nothing, and uploads of 100 MiB into an application that
takes 1 KiB a second. Prints figures and fails above the limit:

    python tests/faults/memory.py [--downloads 1000] [--uploads 200] [--limit 300]
"""

import argparse
import pathlib
import resource
import select
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import process  # noqa: E402
import wire  # noqa: E402

SIZE = 100 << 20
QUIET = 2.0  # seconds without a byte moved anywhere: the server has stopped all of them


class Figures:
    def __init__(self, server, downloads, uploads):
        self.server = server
        self.idle = server.resident()
        self.downloads, self.uploads = downloads, uploads
        self.peak = self.idle
        self.accepted = 0  # bytes of uploads that left this process
        self.clients = []

    def watch(self):
        self.peak = max(self.peak, self.server.resident())

    def __str__(self):
        mib = 1 << 20
        return (
            f"{self.downloads} slow downloads and {self.uploads} slow uploads: "
            f"{self.idle / mib:.1f} MiB idle, {self.peak / mib:.1f} MiB at the peak, "
            f"{(self.peak - self.idle) / max(1, self.downloads + self.uploads) / 1024:.1f} KiB a connection; "
            f"an upload was let in for {self.accepted / max(1, self.uploads) / 1024:.0f} KiB (socket buffers included)"
        )


def measure(server, downloads, uploads):
    """Opens them all, pushes until nothing moves any more, and returns the figures."""
    figures = Figures(server, downloads, uploads)
    poll = select.poll()
    sending = {}
    block = b"u" * 65536
    for _ in range(downloads):
        # A small window of the client's, so that it is the server who has to wait.
        connection = wire.Connection(server.port, receive_buffer=8192, timeout=60)
        connection.request(target=f"/stream?{SIZE}")
        figures.clients.append(connection)
    for _ in range(uploads):
        connection = wire.Connection(server.port, timeout=60)
        connection.send(b"POST /trickle HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % SIZE)
        connection.socket.setblocking(False)
        sending[connection.socket.fileno()] = connection
        poll.register(connection.socket, select.POLLOUT)
        figures.clients.append(connection)
    moved = time.monotonic()
    began = moved
    while time.monotonic() - moved < QUIET and time.monotonic() - began < 60:
        for fd, _ in poll.poll(200) if uploads else ():
            try:
                sent = sending[fd].socket.send(block)
            except BlockingIOError:
                continue
            figures.accepted += sent
            if sent > 4096:  # less is the trickle itself
                moved = time.monotonic()
        if not uploads:
            time.sleep(0.2)
        figures.watch()
    # The others must not notice.
    with wire.Connection(server.port, timeout=60) as connection:
        for _ in range(100):
            assert connection.get("/hello").body == b"hello"
    figures.watch()
    # Every slow download is a real one: each has its first bytes.
    for connection in figures.clients[:downloads]:
        assert connection.head().status == 200
    figures.watch()
    return figures


def leave(figures):
    for connection in figures.clients:
        connection.reset()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--downloads", type=int, default=1000)
    parser.add_argument("--uploads", type=int, default=200)
    parser.add_argument("--limit", type=int, default=300, help="MiB")
    parser.add_argument("--loop", default="auto")
    arguments = parser.parse_args()
    need = 2 * (arguments.downloads + arguments.uploads) + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, need)), hard))
    servers = process.Servers()
    try:
        server = servers("memory:app", "--no-access-log", "--loop", arguments.loop)
        figures = measure(server, arguments.downloads, arguments.uploads)
        print(figures)
        leave(figures)
        assert wire.once(server.port, "/hello").body == b"hello"
        return figures.peak > arguments.limit << 20
    finally:
        servers.close()


if __name__ == "__main__":
    socket.setdefaulttimeout(60)
    sys.exit(main())
