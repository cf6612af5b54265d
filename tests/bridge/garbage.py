"""Feeds records that do not add up to the bridge; run by test_garbage.py in a process of its own, which must survive.

    garbage.py fields|bytes|random|cursors [SEED [COUNT]]

Prints how many cases there were and how many of them ended the link. Each of those says BUG: on stderr.
"""

import asyncio
import random
import struct
import sys
import traceback

from front import (
    BODY,
    CANCEL,
    CREDIT,
    DISCONNECT,
    HEAD,
    IN,
    MORE,
    OPEN,
    OUT,
    RECORD,
    RING,
    RINGS,
    SIGNAL,
    STOP,
    TAIL,
    WINDOW,
    Front,
    opening,
)
from goasgi import _bridge

REQUEST = {
    "method": b"POST",
    "raw_path": b"/a%20b",
    "path": b"/a b",
    "query": b"q=1",
    "headers": [(1, b"host"), (b"x-name", b"value"), (12, b"cookie")],
    "body": b"body",
}


def record(kind, data=b"", flags=0, aux=0, slot=0, serial=1):
    return RECORD.pack(RECORD.size + len(data), kind, flags, aux, slot, serial) + data


VALID = [
    record(OPEN, opening(**REQUEST), MORE, slot=1),
    record(BODY, b"x" * 100, MORE),
    record(CREDIT, struct.pack("<I", 10)),
    record(DISCONNECT, aux=1),
    record(CANCEL),
    record(STOP),
    record(SIGNAL, aux=15),
]


async def app(scope, receive, send):
    assert isinstance(scope["path"], str) and isinstance(scope["headers"], list)
    await send({"type": "http.response.start", "status": 200, "headers": scope["headers"][:1]})
    await send({"type": "http.response.body", "body": b"x" * 100, "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass


class Garbage:
    def __init__(self, loop):
        self.loop = loop
        self.cases = self.fatal = 0

    async def case(self, records=(), *, cursors=(), sends=False):
        """One link, one good call, then the records; returns whether the link has ended."""
        self.cases += 1
        front = Front()
        link = front.attach()
        controls = []
        link.start(
            self.loop, app, None, "", True, False, lambda *report: None, lambda *control: controls.append(control)
        )
        front.raw(record(OPEN, opening(), MORE))
        link.drain()
        await asyncio.sleep(0)
        before = front.poll()
        assert before == 2, front.events  # start, want
        for data in records:
            front.raw(data)
        for at, value in cursors:
            front.put64(at, value)
        for _ in range(3):
            link.drain()
            await asyncio.sleep(0)
        if sends:
            for _ in range(50):
                link.post(_bridge.LOG, 20, "x" * 32000)
        link.drain()
        fatal = [control for control in controls if control[0] == _bridge.FATAL]
        assert len(fatal) <= 1, controls
        if fatal:
            self.fatal += 1
            assert fatal == [(_bridge.FATAL, 1)]
            head = front.get64(IN + HEAD)
            front.raw(VALID[5])
            assert link.drain() is None and front.get64(IN + HEAD) == head, "read on after garbage"
            assert link.post(_bridge.LOG, 20, "") is False
        for task in asyncio.all_tasks(self.loop):
            if task is not asyncio.current_task():
                task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        link.close()
        front.close()
        return bool(fatal)

    async def fields(self):
        """Each field of each record, with every value that is likely to go wrong."""
        extremes = [0, 1, 2, 15, 16, 17, 0x7F, 0x80, 0xFF]
        for number, good in enumerate(VALID):
            assert not await self.case([good]), number
            formats = [("<I", 0), ("B", 4), ("B", 5), ("<H", 6), ("<I", 8), ("<I", 12)]
            if number == 0:
                formats += [("B", at) for at in range(16, 20)] + [("<H", 20), ("<H", 22)]
                formats += [("<I", at) for at in range(24, 44, 4)] + [("<H", 44), ("<H", 46), ("<i", 48), ("<i", 52)]
                table = good.index(b"host") - 6
                formats += [("<H", table), ("<I", table + 2), ("<H", table + 10), ("<I", table + 12)]
            if number == 2:
                formats += [("<I", 16)]
            for form, at in formats:
                bits = 8 * struct.calcsize(form)
                signed = form[-1].islower()
                (right,) = struct.unpack_from(form, good, at)
                values = {*extremes, right + 1, right - 1, right + 8, right - 8, right << 1, WINDOW, WINDOW + 1, RING}
                values |= {1 << 15, 1 << 17, (1 << 17) - 1, (1 << bits) - 1, 1 << (bits - 1), (1 << bits) - 8}
                for value in sorted(values - {right}):
                    if signed:
                        value = (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))
                    bad = bytearray(good)
                    struct.pack_into(form, bad, at, value % (1 << bits) if not signed else value)
                    await self.case([bytes(bad), good])
        # What cannot be is noticed.
        for bad in (
            record(0),
            record(8),
            record(255),
            record(CREDIT),
            record(CREDIT, b"123"),
            record(CREDIT, b"12345678"),
            record(CREDIT, struct.pack("<I", WINDOW + 1)),
            record(BODY, b"x" * (WINDOW + 1), MORE),
            record(OPEN, opening(), slot=0, serial=2),
            record(OPEN, b"", slot=1),
            record(OPEN, b"\0" * 39, slot=1),
            record(OPEN, opening(type=1), slot=1),
            record(OPEN, opening(version=4), slot=1),
            record(OPEN, opening(headers=[(127, b"")]), slot=1),
            record(OPEN, opening(headers=[(40, b"")]), slot=1),
            record(OPEN, opening(body=b"x" * (WINDOW + 1)), slot=1),
            record(OPEN, opening() + b"x", slot=1),
            record(STOP, b"x"),
            record(DISCONNECT, b"x"),
            record(STOP, slot=1 << 17),
            b"\0" * 16,
            b"\xff" * 16,
            struct.pack("<I", 15) + record(STOP)[4:],
            struct.pack("<I", 17) + record(STOP)[4:],
            record(STOP)[:8],
        ):
            assert await self.case([bad]), bad[:64]
        first, second = record(BODY, b"x" * (WINDOW // 2), MORE), record(BODY, b"x" * (WINDOW // 2), 0)
        assert not await self.case([first, second])
        assert await self.case([record(BODY, b"", 0), record(BODY, b"x", 0)])

    async def bytes(self, seed, count):
        """Good records with some bits changed."""
        source = random.Random(seed)
        for _ in range(count):
            records = []
            for _ in range(source.randrange(1, 5)):
                data = bytearray(source.choice(VALID))
                for _ in range(source.randrange(1, 4)):
                    data[source.randrange(min(len(data), 64))] ^= 1 << source.randrange(8)
                records.append(bytes(data))
            await self.case(records)

    async def random(self, seed, count):
        """Bytes of which nothing is right but, often, the size and the kind."""
        source = random.Random(seed)
        for _ in range(count):
            data = bytearray(source.randbytes(source.choice([8, 16, 20, 24, 56, 64, 200, 4000, 300000])))
            if source.random() < 0.9:
                struct.pack_into("<I", data, 0, len(data) if source.random() < 0.9 else source.randrange(1 << 32))
            if len(data) > 8 and source.random() < 0.9:
                data[4] = source.randrange(9)
                struct.pack_into("<H", data, 8 + 2, 0)
            if len(data) >= 16 and source.random() < 0.5:
                struct.pack_into("<II", data, 8, 0, 1)
            await self.case([bytes(data)])

    async def cursors(self, seed, count):
        """Cursors that contradict each other."""
        source = random.Random(seed)
        for i in range(count):
            value = source.choice([1, 7, RING - 8, RING, RING + 8, 2 * RING, 1 << 32, 1 << 63, (1 << 64) - 8, None])
            if value is None:
                value = source.randrange(1 << 64)
            if i % 2:
                await self.case(cursors=[(IN + TAIL, value)])
            else:
                await self.case(cursors=[(OUT + HEAD, value)], sends=True)
        assert await self.case(cursors=[(IN + TAIL, 1 << 40)])
        assert await self.case(cursors=[(OUT + HEAD, 1 << 40)], sends=True)


async def main(kind, seed="1", count="1000"):
    garbage = Garbage(asyncio.get_running_loop())
    if kind == "fields":
        await garbage.fields()
    else:
        await getattr(garbage, kind)(int(seed), int(count))
    print(garbage.cases, garbage.fatal)


if __name__ == "__main__":
    assert RINGS
    try:
        asyncio.run(main(*sys.argv[1:]))
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        sys.exit(1)
