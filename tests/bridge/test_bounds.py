"""Bounds: credit both ways, full rings both ways, wake-ups, and turns of the loop."""

import asyncio
import os
import sys

import pytest
from front import BODY, IN, OUT, RING, SLEEPS, TAIL, WAITS, WINDOW, run
from goasgi import _bridge

START = {"type": "http.response.start", "status": 200, "headers": []}


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


async def settle(turns=10):
    for _ in range(turns):
        await asyncio.sleep(0)


async def asleep(front):
    """Until the worker has drained what it was sent."""
    while not front.get32(IN + SLEEPS):
        await asyncio.sleep(0)


# ------------------------------------------------------------------------ credit


def test_credit_of_a_response(loop, eager):
    """send() suspends when the client has not taken what was sent and a window more."""
    sent = []

    async def app(scope, receive, send):
        await send(START)
        for _ in range(64):
            await send(body(b"x" * (WINDOW // 8), True))
            sent.append(WINDOW // 8)
        await send(body())

    async def script(front):
        front.open()
        got = 0
        total = 64 * (WINDOW // 8)
        credit = [1, 2, 1000, WINDOW // 2, WINDOW, 1]
        while got < total:
            allowed = WINDOW + sum(credit[6:])
            while got < min(total, allowed):
                event = await front.next("start", "part")
                got += len(event.body)
                assert got <= allowed
            await settle()
            assert not front.poll() or got == total
            more = credit[len(credit) % 6]
            credit.append(more)
            front.credit(more)
        last = await front.next("part")
        assert not last.more and not last.body
        await front.next("end")

    assert not run(app, script, loop, eager=eager).reports


@pytest.mark.parametrize("size", [1, 1000, 32767, 32768, WINDOW])
@pytest.mark.parametrize("delay", [0, 3], ids=["", "late"])
def test_credit_of_a_request(loop, size, delay):
    """All credit comes back as long as there is more to come, whatever the sizes of the parts are."""
    got = []

    async def app(scope, receive, send):
        while True:
            await settle(delay)
            event = await receive()
            got.append(event["body"])
            if not event["more_body"]:
                break
        await send(START)
        await send(body())

    data = os.urandom(min(40 * size, 10 * WINDOW))

    async def script(front):
        at = passed = 0
        front.open(more=True)
        while at < len(data):
            part = data[at : at + size]
            while passed + len(part) > WINDOW:
                event = await front.next("taken", "want")
                if event.kind == "taken":
                    assert 0 < event.value <= passed
                    passed -= event.value
            at += len(part)
            passed += len(part)
            front.body(part, more=at < len(data))
        assert (await front.response())[3]

    assert not run(app, script, loop).reports
    assert b"".join(got) == data


def test_parts_that_nobody_receives(loop):
    """Parts of all small sizes that come before receive() are one event."""
    sizes = [1, 1, 0, 2, 1, 7, 0, 1]
    got = []

    async def app(scope, receive, send):
        await ready.wait()
        got.append(await receive())
        await send(START)
        await send(body())

    async def script(front):
        for first in range(len(sizes)):
            ready.clear()
            got.clear()
            rotated = sizes[first:] + sizes[:first]
            front.open(body=bytes(rotated[0]), more=True)
            for i, size in enumerate(rotated[1:]):
                front.body(bytes([i + 1]) * size, more=True)
            front.body(b"", more=False)
            await asleep(front)
            ready.set()
            assert (await front.response())[3]
            expected = bytes(rotated[0]) + b"".join(bytes([i + 1]) * size for i, size in enumerate(rotated[1:]))
            assert got == [{"type": "http.request", "body": expected, "more_body": False}]

    ready = asyncio.Event()
    assert not run(app, script, loop).reports


def test_want(loop):
    """The front is told once that the application asks for a body that is not there."""

    async def app(scope, receive, send):
        assert (await receive())["body"] == b"1"
        assert (await receive())["body"] == b"2"
        assert (await receive())["body"] == b"3"
        await send(START)
        await send(body())

    async def script(front):
        front.open(body=b"1", more=True)
        await front.next("want")
        front.body(b"2")
        await settle()
        front.body(b"3", more=False)
        await front.next("start")
        await front.next("end")

    assert not run(app, script, loop).reports


def test_nothing_is_wanted_of_a_request_without_body(loop):
    async def app(scope, receive, send):
        await receive()
        listener = asyncio.create_task(receive())
        await settle()
        await send(START)
        await send(body())
        assert (await listener)["type"] == "http.disconnect"

    async def script(front):
        front.open()
        await front.next("start")
        await front.next("end")

    assert not run(app, script, loop).reports


# --------------------------------------------------------------------- full rings


def fill(front):
    """Fills the out ring to the last bytes; returns how many records that took."""
    n = 0
    for size in (32000, 1000, 0):
        while front.link.post(_bridge.LOG, 20, "x" * size):
            n += 1
    return n


def test_full_out_ring(loop, eager):
    """Whatever the front must be told while the out ring is full comes when there is room, and nothing comes twice."""
    received = []

    async def app(scope, receive, send):
        if scope["path"] == "/want":
            await receive()
            return
        if scope["path"] == "/taken":
            received.append(await receive())
            return
        if scope["path"] == "/start":
            await send({**START, "headers": [(b"a", b"b" * 1000)]})
            await send(body(b"1" * 70000, True))
            await send(body())
            return
        if scope["path"] == "/part":
            await send(START)
            await send(body(b"1", True))
            await started.wait()
            await send(body(b"2", True))
            await send(body(b"3"))

    async def script(front):
        front.open(4, raw_path=b"/part")
        part = front.serial
        assert (await front.next("start")).body == b"1"
        filled = fill(front)
        assert front.get32(OUT + WAITS)
        started.set()
        serials = []
        for slot, path in enumerate((b"/want", b"/taken", b"/start", b"/end")):
            serials.append(front.open(slot, raw_path=path, more=True))
        front.body(b"x" * (WINDOW // 2), True, 1, serials[1])
        await asleep(front)
        await settle(20)
        assert len(received) == 1
        wanted = False
        kinds = {slot: [] for slot in range(5)}
        content = {2: b"", 4: b"1"}
        while sum("end" in k for k in kinds.values()) < 5:
            event = await front.next()
            if event.kind == "control":
                filled -= 1
                continue
            kinds[event.slot].append(event.kind)
            assert event.serial == (serials + [part])[event.slot]
            if event.kind in ("start", "part"):
                content[event.slot] += event.body
                if event.slot == 2 and event.body:
                    front.credit(len(event.body), 2, event.serial)
            if event.kind == "want" and not wanted:
                wanted = True
                front.disconnect(True, 0, serials[0])
        await settle(20)
        assert filled == 0 and not front.poll()
        assert kinds[0] == ["want", "end"]
        assert kinds[1] in (["taken", "want", "end"], ["taken", "end"])
        assert kinds[2][0] == "start" and content[2] == b"1" * 70000
        assert kinds[3] == ["end"]
        assert kinds[4] == ["part", "part", "end"] and content[4] == b"123"

    started = asyncio.Event()
    run(app, script, loop, eager=eager)


def test_full_out_ring_of_many(loop):
    """Many calls that send more than the ring holds, to a front that reads slowly."""
    calls = 100
    content = b"0123456789abcdef" * 4096

    async def app(scope, receive, send):
        await send(START)
        for i in range(4):
            await send(body(content, i < 3))

    async def script(front):
        for slot in range(calls):
            front.open(slot)
        bodies = [b""] * calls
        ends = 0
        while ends < calls:
            await settle(3)
            front.poll(3)
            if not front.events:
                front.events.append(await front.next())
            while front.events:
                event = front.events.popleft()
                if event.kind == "end":
                    ends += 1
                    continue
                bodies[event.slot] += event.body
                if event.body:
                    front.credit(len(event.body), event.slot, event.serial)
        assert all(got == content * 4 for got in bodies)

    assert not run(app, script, loop).reports


def test_cancelled_while_the_ring_is_full(loop):
    """A send() that waits for room in the ring is cancelled; the next in the queue goes on."""

    async def app(scope, receive, send):
        await send(START)
        await send(body(b"1", True))
        await full.wait()
        tasks = [asyncio.create_task(send(body(data, True))) for data in (b"", b"2", b"3")]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await send(body(b"4"))

    async def script(front):
        front.open()
        await front.next("start")
        fill(front)
        full.set()
        await settle()
        content = b""
        while (event := await front.next()).kind != "end":
            content += event.body if event.kind == "part" else b""
        assert content == b"24"

    full = asyncio.Event()
    assert not run(app, script, loop).reports


def test_full_in_ring(loop):
    """A front that found no room is woken when there is room."""

    async def app(scope, receive, send):
        while (await receive())["more_body"]:
            pass
        await send(START)
        await send(body())

    async def script(front):
        n = 0
        while front.open(n, body=b"x" * 1000, flush=False) is not None:
            n += 1
        assert n > 500 and front.get32(IN + WAITS)
        front.flush()
        while front.get32(IN + WAITS):
            await asyncio.sleep(0)
        assert front.room() > 1000
        ends = 0
        while ends < n:
            ends += (await front.next("start", "end")).kind == "end"
        await settle()
        with pytest.raises(BlockingIOError):
            os.eventfd_read(front.front)

    assert not run(app, script, loop).reports


def test_wraps_around(loop):
    """Records of all sizes at every place of the rings, also across their ends."""

    async def app(scope, receive, send):
        event = await receive()
        await send({**START, "headers": scope["headers"]})
        await send(body(event["body"]))

    async def script(front):
        for size in range(0, 60000, 511):
            headers = [(b"x-size", b"%d" % size), (b"x-pad", b"p" * (size % 13))]
            data = os.urandom(size)
            assert await front.request(headers=headers, body=data) == (200, headers, data, True)
        assert front.tail > 3 * RING and front.head > 3 * RING

    assert not run(app, script, loop).reports


# ----------------------------------------------------------------------- wake-ups


def test_a_loaded_side_is_not_woken(loop):
    async def app(scope, receive, send):
        await send(START)
        await send(body())

    async def script(front):
        await asleep(front)
        before = front.wake_ups
        for slot in range(100):
            front.open(slot, flush=False)
        front.flush()
        front.flush()
        assert front.wake_ups == before + 1
        front.put32(OUT + SLEEPS, 0)
        while front.get64(OUT + TAIL) < 200 * 16:
            await asyncio.sleep(0)
        await asleep(front)
        with pytest.raises(BlockingIOError):
            os.eventfd_read(front.front)
        front.poll()
        front.put32(OUT + SLEEPS, 1)
        front.open(0)
        while len(front.events) < 202:
            front.poll()
            await asyncio.sleep(0)
        assert not front.get32(OUT + SLEEPS)

    assert not run(app, script, loop).reports


# ------------------------------------------------------------------ turns of the loop


def test_other_callbacks_run_between_requests(loop, eager):
    """drain() goes back to the loop after some milliseconds, however many requests there are."""
    handled, at_timer = [0], []

    async def app(scope, receive, send):
        handled[0] += 1
        sum(range(2000))
        await send(START)
        await send(body())

    async def script(front):
        asyncio.get_running_loop().call_later(0.005, lambda: at_timer.append(handled[0]))
        n = 0
        while front.open(n, flush=False) is not None:
            n += 1
        front.flush()
        ends = 0
        while ends < n:
            ends += (await front.next("start", "end")).kind == "end"
        assert n > 3000 and at_timer[0] < n

    assert not run(app, script, loop, eager=eager).reports


@pytest.mark.parametrize("kind", ["receive", "send"])
def test_an_application_that_never_waits(loop, kind):
    """A loop of receive() or send() that could go on for ever lets others run."""
    stop = []

    async def app(scope, receive, send):
        await receive()
        await send(START)
        await send(body())
        asyncio.get_running_loop().call_later(0.01, stop.append, True)
        while not stop:
            await (receive() if kind == "receive" else send(body()))

    async def script(front):
        assert (await front.request())[3]

    assert not run(app, script, loop).reports


def test_order_of_those_that_let_others_run(loop):
    """A send() that let others run first keeps its place."""
    count = 20000

    async def app(scope, receive, send):
        await send(START)
        await send(body(b"", True))

        async def writer(letter):
            for i in range(count):
                await send(body(b"%c%d " % (letter, i), True))

        await asyncio.gather(writer(65), writer(66))
        await send(body())

    async def script(front):
        _, _, content, complete = await front.request()
        words = content.split()
        assert complete and len(words) == 2 * count
        for letter in b"AB":
            assert [w for w in words if w[0] == letter] == [b"%c%d" % (letter, i) for i in range(count)]

    assert not run(app, script, loop).reports


def test_stepped_by_hand_outside_of_a_task(loop):
    """A step yields None, to let others run, only to a task."""
    outcomes = []

    async def app(scope, receive, send):
        await receive()
        await send(START)
        await send(body())

        def many():
            for _ in range(200000):
                step = receive()
                try:
                    outcomes.append(step.send(None))
                except StopIteration:
                    pass
            done.set()

        asyncio.get_running_loop().call_soon(many)
        await done.wait()

    async def script(front):
        assert (await front.request())[3]

    done = asyncio.Event()
    assert not run(app, script, loop).reports
    assert outcomes == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with CPython 3.12")
def test_eager(loop):
    """A handler that does not wait runs inside one callback of the loop."""

    async def app(scope, receive, send):
        await receive()
        await send(START)
        await send(body(b"x"))

    async def script(front):
        front.open()
        front.link.drain()
        assert front.poll() == 2
        assert [event.kind for event in front.events] == ["start", "end"]
        front.events.clear()

    assert not run(app, script, loop).reports


def test_scheduled(loop):
    """With eagerness off, and on 3.11, the task begins in a later turn."""

    async def app(scope, receive, send):
        await receive()
        await send(START)
        await send(body(b"x"))

    async def script(front):
        front.open()
        front.link.drain()
        assert front.poll() == 0
        assert (await front.response())[2:] == (b"x", True)

    assert not run(app, script, loop, eager=False).reports


def test_unknown_calls_are_ignored(loop):
    """Records of calls that have ended meanwhile say nothing."""

    async def app(scope, receive, send):
        await send(START)
        await send(body())

    async def script(front):
        await front.request()
        old = front.serial
        front.open()
        for serial in (old, old + 7):
            front.body(b"x", True, 0, serial)
            front.body(b"x" * WINDOW, True, 0, serial)
            front.credit(1 << 30, 0, serial)
            front.disconnect(True, 0, serial)
            front.cancel(0, serial)
            front.write(BODY, 100000, serial)
        assert (await front.response())[3]
        assert not front.controls

    assert not run(app, script, loop).reports
