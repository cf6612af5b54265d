"""The front, played in Python: the other end of a link, in the process and on the loop of the application under test.

It lays out the shared memory as bridge/ring.go does, writes the records that bridge/record.go writes, and reads those
that it reads, so that every order of events, every full ring and every piece of garbage can be had on purpose.
"""

import asyncio
import collections
import contextlib
import mmap
import os
import pathlib
import re
import struct

from goasgi import _bridge

RING = 1 << 20
RINGS = 4096
MAGIC = 0x31494753414F4700
HEADER = pathlib.Path(__file__).parents[2] / "bridge" / "cpython" / "record.h"
WINDOW = int(re.search(r"WINDOW = (\d+) << 10", HEADER.read_text())[1]) << 10
IN, OUT = 64, 320  # cursors of the rings
TAIL, HEAD, SLEEPS, WAITS = 0, 64, 128, 192

OPEN, BODY, CREDIT, DISCONNECT, CANCEL, STOP, SIGNAL = range(1, 8)
START, PART, TAKEN, WANT, END, CONTROL = range(1, 7)
KINDS = {START: "start", PART: "part", TAKEN: "taken", WANT: "want", END: "end", CONTROL: "control"}
MORE, LENT = 1, 2
RECORD = struct.Struct("<IBBHII")
OPENING = struct.Struct("<BBBBHHIIIIIHHii")
STARTING = struct.Struct("<IIII")
SAME_PATH = 0xFFFFFFFF

NAMES = ["", "host", "connection", "content-length", "transfer-encoding", "expect", "upgrade", "te", "trailer"]
NAMES += ["user-agent", "accept", "authorization", "cookie"]

Event = collections.namedtuple("Event", "kind slot serial more status headers body value")


class Front:
    def __init__(self, process=0):
        self.memory = os.memfd_create("test-link")
        os.ftruncate(self.memory, RINGS + 2 * RING)
        self.map = mmap.mmap(self.memory, RINGS + 2 * RING)
        struct.pack_into("<QQQ", self.map, 0, MAGIC, RING, process)
        self.worker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.front = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.tail = self.head = 0
        self.wake_ups = 0
        self.serial = 0
        self.put32(IN + SLEEPS, 1)
        self.events = collections.deque()
        self.reports = []
        self.controls = []
        self.link = None
        self.woken = None

    def close(self):
        self.map.close()
        for fd in (self.memory, self.worker, self.front):
            os.close(fd)

    def attach(self):
        self.link = _bridge.attach(self.memory, self.worker, self.front, NAMES)
        return self.link

    def get64(self, at):
        return struct.unpack_from("<Q", self.map, at)[0]

    def get32(self, at):
        return struct.unpack_from("<I", self.map, at)[0]

    def put64(self, at, value):
        struct.pack_into("<Q", self.map, at, value)

    def put32(self, at, value):
        struct.pack_into("<I", self.map, at, value)

    # ------------------------------------------------------------- to the worker

    def room(self):
        return RING - (self.tail - self.get64(IN + HEAD))

    def raw(self, record, base=RINGS):
        """Writes bytes at the tail of the in ring and commits them."""
        padded = record + bytes(-len(record) % 8)
        if len(padded) > self.room():
            self.put32(IN + WAITS, 1)
            if len(padded) > self.room():
                return False
        at = self.tail % RING
        first = padded[: RING - at]
        self.map[base + at : base + at + len(first)] = first
        self.map[base : base + len(padded) - len(first)] = padded[len(first) :]
        self.tail += len(padded)
        self.put64(IN + TAIL, self.tail)
        return True

    def flush(self):
        if self.get32(IN + SLEEPS):
            self.put32(IN + SLEEPS, 0)
            self.wake_ups += 1
            os.eventfd_write(self.worker, 1)

    def write(self, kind, slot=0, serial=0, data=b"", flags=0, aux=0):
        done = self.raw(RECORD.pack(RECORD.size + len(data), kind, flags, aux, slot, serial) + data)
        self.flush()
        return done

    def open(self, slot=0, *, body=b"", more=False, serial=None, flush=True, **scope):
        """Opens a call; returns its serial number, or None if there was no room."""
        if serial is None:
            self.serial += 1
            serial = self.serial
        data = opening(body=body, **scope)
        done = self.raw(RECORD.pack(RECORD.size + len(data), OPEN, MORE if more else 0, 0, slot, serial) + data)
        if flush:
            self.flush()
        return serial if done else None

    def body(self, data, more=True, slot=0, serial=None):
        return self.write(BODY, slot, self.serial if serial is None else serial, data, MORE if more else 0)

    def credit(self, n, slot=0, serial=None):
        return self.write(CREDIT, slot, self.serial if serial is None else serial, struct.pack("<I", n))

    def disconnect(self, gone=True, slot=0, serial=None):
        return self.write(DISCONNECT, slot, self.serial if serial is None else serial, aux=int(gone))

    def cancel(self, slot=0, serial=None):
        return self.write(CANCEL, slot, self.serial if serial is None else serial)

    # ----------------------------------------------------------- from the worker

    def poll(self, limit=None):
        """Reads records of the out ring into self.events; returns how many there were."""
        n = 0
        while self.head != self.get64(OUT + TAIL) and (limit is None or n < limit):
            at = self.head % RING
            base = RINGS + RING
            size = self.get32(base + at)
            record = self.map[base + at : base + min(at + size, RING)]
            record += self.map[base : base + max(0, at + size - RING)]
            assert 16 <= size <= RING // 4, size
            self.events.append(parse(record))
            self.head += size + -size % 8
            self.put64(OUT + HEAD, self.head)
            n += 1
        if n and self.get32(OUT + WAITS):
            self.put32(OUT + WAITS, 0)
            os.eventfd_write(self.worker, 1)
        return n

    def readable(self):
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.front)
        if self.woken is not None and not self.woken.done():
            self.woken.set_result(None)

    async def next(self, *kinds, timeout=20):
        """The next event; of one of the kinds (names as in KINDS), if any are given, and others before it are an error."""
        async with asyncio.timeout(timeout):
            while not self.events:
                if self.poll():
                    break
                self.woken = asyncio.get_running_loop().create_future()
                self.put32(OUT + SLEEPS, 1)
                if not self.poll():
                    await self.woken
                self.put32(OUT + SLEEPS, 0)
        event = self.events.popleft()
        if kinds:
            assert event.kind in kinds, (event, list(self.events), self.reports)
        return event

    async def response(self, *, credit=True, skip=("taken", "want")):
        """Reads a call's events to its end. Returns (status, headers, body, complete)."""
        status, headers, body, complete = None, None, [], False
        while (event := await self.next()).kind != "end":
            if event.kind in skip:
                continue
            assert not complete, event
            if event.kind == "start":
                assert status is None, event
                status, headers = event.status, event.headers
            else:
                assert event.kind == "part" and status is not None, event
            body.append(event.body)
            complete = not event.more
            if credit and event.body:
                self.credit(len(event.body), event.slot, event.serial)
        return status, headers, b"".join(body), complete

    async def request(self, slot=0, *, credit=True, **scope):
        self.open(slot, **scope)
        return await self.response(credit=credit)

    # ------------------------------------------------------------------ fixtures

    def start(self, loop, app, *, state=None, root_path="", eager=True, cancel_on_disconnect=False):
        link = self.attach()
        link.start(
            loop,
            app,
            state,
            root_path,
            eager,
            cancel_on_disconnect,
            lambda *report: self.reports.append(report),
            lambda *control: self.controls.append(control),
        )
        loop.add_reader(link.fileno(), link.drain)
        loop.add_reader(self.front, self.readable)


def opening(
    *,
    method=b"GET",
    raw_path=b"/",
    path=None,
    query=b"",
    client=b"127.0.0.1",
    client_port=5000,
    server=b"127.0.0.1",
    server_port=8000,
    headers=(),
    body=b"",
    type=0,
    version=1,
    secure=0,
):
    """The data of an open record."""
    table = b""
    for name, value in headers:
        if isinstance(name, int):
            table += struct.pack("<HI", 0x8000 | name, len(value)) + value
        else:
            table += struct.pack("<HI", len(name), len(value)) + name + value
    fixed = OPENING.pack(
        type,
        version,
        secure,
        0,
        len(method),
        len(headers),
        len(raw_path),
        SAME_PATH if path is None else len(path),
        len(query),
        len(table),
        len(body),
        len(client),
        len(server),
        client_port,
        server_port,
    )
    return b"".join((fixed, method, raw_path, path or b"", query, client, server, table, body))


def parse(record):
    size, kind, flags, aux, slot, serial = RECORD.unpack_from(record)
    data = record[RECORD.size :]
    status, headers, body, value = None, None, b"", None
    if kind == START:
        status = aux
        count, length, body_length, _ = STARTING.unpack_from(data)
        data = data[STARTING.size :]
        headers, body = [], data[length:]
        assert len(body) == (16 if flags & LENT else body_length), (length, body_length, len(data))
        table = data[:length]
        for _ in range(count):
            name, content = struct.unpack_from("<II", table)
            known = name & 0x80000000
            assert not known, "a response header name by number"
            headers.append((table[8 : 8 + name], table[8 + name : 8 + name + content]))
            table = table[8 + name + content :]
        assert not table
    elif kind == PART:
        body = data
    elif kind == TAKEN:
        (value,) = struct.unpack("<I", data)
    elif kind == CONTROL:
        status, value, slot, body = slot, aux, 0, data
    else:
        assert kind in KINDS and not data, record
    if kind in (START, PART) and flags & LENT:
        import ctypes

        body = ctypes.string_at(*struct.unpack("<QQ", body))
    return Event(KINDS[kind], slot, serial, bool(flags & MORE), status, headers, body, value)


def run(app, script, loop="asyncio", *, debug=False, process=0, **options):
    """Runs script(front) on a new loop that serves app. Returns the front, closed, with reports and controls."""
    if loop == "uvloop":
        import uvloop

        event_loop = uvloop.new_event_loop()
    else:
        event_loop = asyncio.new_event_loop()
    event_loop.set_debug(debug)
    front = Front(process)
    try:
        front.start(event_loop, app, **options)
        event_loop.run_until_complete(asyncio.wait_for(script(front), 60))
    finally:
        tasks = asyncio.all_tasks(event_loop)
        for task in tasks:
            task.cancel()
        if tasks:
            event_loop.run_until_complete(asyncio.wait(tasks, timeout=5))
        event_loop.run_until_complete(event_loop.shutdown_default_executor())
        event_loop.remove_reader(front.worker)
        event_loop.remove_reader(front.front)
        event_loop.close()
        front.link.close()
        front.close()
    return front
