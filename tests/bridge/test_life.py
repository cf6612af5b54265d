"""The life of calls: clients that leave, cancellation, exceptions, ends, forks; and that nothing of it stays."""

import asyncio
import gc
import os
import signal
import sys
import threading
import traceback
import tracemalloc
import types
import weakref

import pytest
from front import OUT, WINDOW, Front, run
from goasgi import _bridge

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


async def respond(send, data=b"done"):
    await send(START)
    await send(body(data))


# --------------------------------------------------------------- clients that leave


def test_disconnect_while_receiving(loop, eager):
    async def app(scope, receive, send):
        assert (await receive())["type"] == "http.request"
        begun.set()
        both = await asyncio.gather(receive(), receive())
        assert both == [{"type": "http.disconnect"}] * 2
        for _ in range(3):
            assert await receive() == {"type": "http.disconnect"}
        for event in (START, body(), START):
            with pytest.raises(OSError) as caught:
                await send(event)
            assert type(caught.value) is _bridge.ClientDisconnected
        ended.append(True)

    async def script(front):
        front.open()
        await begun.wait()
        await asyncio.sleep(0)
        front.disconnect()
        await front.next("end")

    begun = asyncio.Event()
    ended = []
    assert not run(app, script, loop, eager=eager).reports
    assert ended


def test_disconnect_while_sending(loop, eager):
    """A waiting send() raises OSError at once, and so do those behind it."""

    async def app(scope, receive, send):
        await send(START)
        tasks = [asyncio.create_task(send(body(b"x" * WINDOW * 2, True))) for _ in range(3)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [_bridge.ClientDisconnected] * 3
        assert await receive() == {"type": "http.disconnect"}
        ended.append(True)
        await send(body())  # raises; and is not reported

    async def script(front):
        front.open()
        await front.next("start")
        front.disconnect()
        while (await front.next("part", "end")).kind != "end":
            pass

    ended = []
    assert not run(app, script, loop, eager=eager).reports
    assert ended


def test_disconnect_comes_before_what_was_not_received(loop):
    async def app(scope, receive, send):
        await left.wait()
        assert await receive() == {"type": "http.disconnect"}

    async def script(front):
        front.open(body=b"x", more=True)
        front.disconnect()
        front.link.drain()
        left.set()
        await front.next("end")

    left = asyncio.Event()
    assert not run(app, script, loop).reports


def test_half_closed(loop):
    """A client that only closed its sending side: receive() says so after the body, and the response is delivered."""

    async def app(scope, receive, send):
        waiting = asyncio.create_task(receive())
        await asyncio.sleep(0)
        left.set()
        assert await waiting == {"type": "http.request", "body": b"x", "more_body": False}
        assert await receive() == {"type": "http.disconnect"}
        assert await receive() == {"type": "http.disconnect"}
        await respond(send)

    async def script(front):
        front.open(more=True)
        await left.wait()
        front.body(b"x", more=False)
        front.disconnect(gone=False)
        assert (await front.response())[2:] == (b"done", True)

    left = asyncio.Event()
    assert not run(app, script, loop).reports


def test_half_closed_in_the_middle(loop):
    async def app(scope, receive, send):
        assert await receive() == {"type": "http.request", "body": b"x", "more_body": True}
        assert await receive() == {"type": "http.disconnect"}

    async def script(front):
        front.open(body=b"x", more=True)
        front.disconnect(gone=False)
        while (await front.next("end", "want")).kind != "end":
            pass

    assert not run(app, script, loop).reports


# ------------------------------------------------------------------ cancellation


@pytest.mark.parametrize("how", ["cancel", "disconnect", "left"])
def test_cancel(loop, eager, how):
    async def app(scope, receive, send):
        await receive()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(how)
            raise

    async def script(front):
        front.open()
        for _ in range(3):
            await asyncio.sleep(0)
        if how == "cancel":
            front.cancel()
            front.cancel()
        else:
            front.disconnect(gone=how == "disconnect")
        await front.next("end")

    cancelled = []
    assert not run(app, script, loop, eager=eager, cancel_on_disconnect=how != "cancel").reports
    assert cancelled == [how]


def test_no_cancel_after_the_response(loop):
    """--cancel-on-disconnect is about responses that nobody will read: background work goes on."""

    async def app(scope, receive, send):
        await respond(send)
        assert await receive() == {"type": "http.disconnect"}
        await asyncio.sleep(0.01)
        ended.append(True)

    async def script(front):
        front.open()
        await front.next("start")
        front.disconnect()
        await front.next("end")

    ended = []
    assert not run(app, script, loop, cancel_on_disconnect=True).reports
    assert ended


def test_cancelled_and_goes_on(loop):
    async def app(scope, receive, send):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await respond(send)

    async def script(front):
        front.open()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        front.cancel()
        assert (await front.response())[2:] == (b"done", True)

    assert not run(app, script, loop).reports


@pytest.mark.parametrize("where", ["receive", "send", "sleep"])
def test_task_cancelled_anywhere(loop, eager, where):
    """By the application itself: reported, as any exception that it lets out."""

    async def app(scope, receive, send):
        await receive()
        asyncio.get_running_loop().call_later(0.001, asyncio.current_task().cancel)
        if where == "receive":
            await receive()
        elif where == "send":
            await send(START)
            await send(body(b"x" * 3 * WINDOW))
        else:
            await asyncio.sleep(10)

    async def script(front):
        front.open()
        while (await front.next()).kind != "end":
            pass

    reports = run(app, script, loop, eager=eager).reports
    assert len(reports) == 1 and isinstance(reports[0][0], asyncio.CancelledError)


# -------------------------------------------------------------------- exceptions


class Boom(Exception):
    pass


def test_exception(loop, eager):
    """Reported once, its traceback beginning in the application."""

    async def inner():
        raise Boom("inner")

    async def app(scope, receive, send):
        if scope["path"] == "/late":
            await asyncio.sleep(0)
        await inner()

    async def script(front):
        assert await front.request() == (None, None, b"", False)
        assert await front.request(raw_path=b"/late") == (None, None, b"", False)

    reports = run(app, script, loop, eager=eager).reports
    assert len(reports) == 2
    for exc, scope_type, text in reports:
        assert isinstance(exc, Boom) and scope_type == "http" and text == ""
        assert [frame.name for frame in traceback.extract_tb(exc.__traceback__)] == ["app", "inner"]


@pytest.mark.parametrize("result", ["raise", None, 1, "no args"])
def test_callables_that_are_no_coroutine_functions(loop, result):
    def app(scope, receive, send):
        if result == "raise":
            raise Boom
        return result

    def no_arguments():
        pass

    async def script(front):
        assert await front.request() == (None, None, b"", False)
        assert await front.request() == (None, None, b"", False)

    reports = run(no_arguments if result == "no args" else app, script, loop).reports
    assert [type(report[0]) for report in reports] == [Boom if result == "raise" else TypeError] * 2


def test_other_awaitables(loop, eager):
    """An application may return any awaitable."""

    class Awaitable:
        def __init__(self, coroutine):
            self.coroutine = coroutine

        def __await__(self):
            return (yield from self.coroutine.__await__())

    @types.coroutine
    def generator(send):
        yield from respond(send)

    def app(scope, receive, send):
        kind = scope["path"]
        if kind == "/future":
            return asyncio.ensure_future(respond(send))
        if kind == "/awaitable":
            return Awaitable(respond(send))
        if kind == "/generator":
            return generator(send)
        if kind == "/step":
            return send(START)
        return respond(send)

    async def script(front):
        for kind in (b"/future", b"/awaitable", b"/generator", b"/coroutine"):
            assert (await front.request(raw_path=kind))[2:] == (b"done", True)
        assert await front.request(raw_path=b"/step") == (None, None, b"", False)

    front = run(app, script, loop, eager=eager)
    assert [report[2] for report in front.reports] == ["ASGI callable returned without starting response."] or (
        [report[2] for report in front.reports] == ["ASGI callable returned without completing response."]
    )


@pytest.mark.parametrize(
    "sends, result, text",
    [
        (0, None, "ASGI callable returned without starting response."),
        (1, None, "ASGI callable returned without completing response."),
        (2, 0, "ASGI callable should return None."),
        (2, None, None),
    ],
)
def test_ends(loop, sends, result, text):
    async def app(scope, receive, send):
        for event in (START, body())[:sends]:
            await send(event)
        return result

    async def script(front):
        assert (await front.request())[3] == (sends == 2)

    reports = run(app, script, loop).reports
    assert reports == ([] if text is None else [(None, "http", text)])


@pytest.mark.parametrize(
    "exception", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=lambda e: type(e).__name__
)
@pytest.mark.parametrize("late", [False, True], ids=["", "late"])
def test_exceptions_that_end_processes(loop, eager, exception, late):
    """Out of an eager start they are reported and do not unwind drain(): the requests behind it are served."""
    problems = []

    async def app(scope, receive, send):
        if scope["path"] == "/exit":
            if late:
                await asyncio.sleep(0)
            raise exception
        await respond(send)

    async def script(front):
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        front.open(0, raw_path=b"/exit", flush=False)
        front.open(1, flush=False)
        front.flush()
        ends = set()
        while len(ends) < 2:
            event = await front.next()
            if event.kind == "end":
                ends.add(event.slot)
        gc.collect()

    # A late one, or one in a scheduled task, comes out of the loop, which is the worker's business.
    through_loop = not isinstance(exception, GeneratorExit) and (late or not eager or sys.version_info < (3, 12))
    front = Front()
    if loop == "uvloop":
        import uvloop

        event_loop = uvloop.new_event_loop()
    else:
        event_loop = asyncio.new_event_loop()
    try:
        front.start(event_loop, app, eager=eager)
        task = event_loop.create_task(script(front))
        raised = []
        while not task.done():
            try:
                event_loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt) as exc:
                raised.append(exc)
        task.result()
    finally:
        event_loop.close()
        front.link.close()
        front.close()
    assert [report[0] for report in front.reports] == [exception]
    assert raised == ([exception] if through_loop else [])
    assert not problems


def test_report_that_raises(loop, capfd):
    """A report that fails does not end the server."""

    async def app(scope, receive, send):
        raise Boom

    async def script(front):
        for _ in range(3):
            assert await front.request() == (None, None, b"", False)

    class Broken(list):
        def append(self, report):
            raise RuntimeError("report failed")

    seen = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda args: seen.append(args.exc_value)
    try:
        front = Front()
        front.reports = Broken()
        event_loop = asyncio.new_event_loop()
        front.start(event_loop, app)
        event_loop.run_until_complete(script(front))
        event_loop.close()
        front.link.close()
        front.close()
    finally:
        sys.unraisablehook = hook
    assert [str(exc) for exc in seen] == ["report failed"] * 3


# ------------------------------------------------------------ send() after the end


def test_kept_channels(loop):
    """An application that keeps send and receive after it returned."""
    kept = []

    async def app(scope, receive, send):
        await receive()
        waiting = [asyncio.ensure_future(receive()), asyncio.ensure_future(send(body(b"x", True)))]
        if scope["path"] == "/whole":
            await respond(send)
        elif scope["path"] == "/half":
            await send(START)
            waiting.append(asyncio.ensure_future(send(body(b"x" * 3 * WINDOW))))
            await asyncio.sleep(0)
        kept.append((scope["path"], receive, send, waiting))

    async def script(front):
        for path in (b"/whole", b"/half", b"/none"):
            await front.request(raw_path=path, credit=False)
            await front.request(raw_path=path, slot=1, credit=False)
        for path, receive, send, waiting in kept:
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert results[0] == {"type": "http.disconnect"}
            for _ in range(2):
                assert await receive() == {"type": "http.disconnect"}
                if path == "/whole":
                    await send(body(b"ignored"))
                else:
                    with pytest.raises(OSError, match="has ended this request"):
                        await send(START)
        await front.request(raw_path=b"/whole")
        assert not front.poll()

    run(app, script, loop)
    assert len(kept) == 7


def test_link_that_is_closed(loop):
    """Steps of a link that is closed fail; nothing of it is touched."""
    kept = []

    async def app(scope, receive, send):
        await receive()
        kept.extend((receive, send, receive(), send(START)))
        waiting = receive()
        waiting.send(None)
        kept.append(waiting)
        await asyncio.Event().wait()

    async def script(front):
        front.open()
        front.link.drain()
        for _ in range(3):
            await asyncio.sleep(0)
        front.link.close()
        front.link.close()
        assert front.link.drain() is None
        assert front.link.post(_bridge.LOG, 20, "text") is False
        receive, send, *steps = kept
        for step in (*steps, receive(), send(START)):
            with pytest.raises(RuntimeError, match="the server has stopped"):
                await step
        with pytest.raises(RuntimeError):
            front.link.start(asyncio.get_running_loop(), app, None, "", True, False, print, print)

    assert not run(app, script, loop).reports


@pytest.mark.parametrize("where", ["app", "report", "control", "headers", "app late"])
def test_link_closed_from_inside(loop, where):
    """close() in the middle of a call, of a report, of a control or of a message."""

    async def script(front):
        async def app(scope, receive, send):
            if where == "app":
                front.link.close()
            if where == "app late":
                await asyncio.sleep(0)
                front.link.close()

            def headers():
                front.link.close()
                yield (b"a", b"b")

            if where == "headers":
                await send({**START, "headers": headers()})
                await asyncio.wait_for(send(body(b"x")), 0.01)
            raise Boom

        other = Front()
        link = other.attach()
        front.link, inner = other.link, front.link
        event_loop = asyncio.get_running_loop()
        close = lambda *args: link.close()  # noqa: E731
        link.start(
            event_loop,
            app,
            None,
            "",
            True,
            False,
            close if where == "report" else lambda *args: None,
            close if where == "control" else lambda *args: None,
        )
        other.open(0, flush=False)
        if where == "control":
            other.write(6)
        other.open(1, flush=False)
        other.open(2, flush=False)
        link.drain()
        for _ in range(20):
            await asyncio.sleep(0)
        link.drain()
        front.link = inner
        other.close()

    seen = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda args: seen.append(args.exc_value)
    try:
        run(lambda *args: None, script, loop)
        gc.collect()
    finally:
        sys.unraisablehook = hook
    assert all(isinstance(exc, (Boom, RuntimeError)) for exc in seen)


# ------------------------------------------------------------- the rest of the link


def test_stop_and_signal(loop):
    async def app(scope, receive, send):
        await respond(send)

    async def script(front):
        front.write(6)
        front.write(7, aux=signal.SIGTERM)
        await front.request()

    front = run(app, script, loop)
    assert front.controls == [(_bridge.STOP, 0), (_bridge.SIGNAL, signal.SIGTERM)]


def test_post(loop):
    async def script(front):
        link = front.link
        assert link.post(_bridge.STARTED, 0, "") is True
        assert link.post(_bridge.LOG, -1, "\xe4" * 16384) is True
        with pytest.raises(ValueError):
            link.post(_bridge.LOG, 20, "x" * 32769)
        with pytest.raises(UnicodeEncodeError):
            link.post(_bridge.LOG, 20, "\udc80")
        event = await front.next("control")
        assert (event.value, event.status, event.body) == (_bridge.STARTED, 0, b"")
        event = await front.next("control")
        assert (event.value, event.status, event.body) == (_bridge.LOG, 0xFFFFFFFF, "\xe4".encode() * 16384)

        while link.post(_bridge.LOG, 20, "x" * 32000):
            pass
        # STOPPED waits for room, without holding the GIL.
        thread = threading.Thread(target=link.post, args=(_bridge.STOPPED, 0, "x" * 32000))
        thread.start()
        assert front.get32(OUT + 192)
        while thread.is_alive():
            front.poll(1)
            await asyncio.sleep(0.001)
        front.poll()
        assert front.events[-1].value == _bridge.STOPPED

    run(lambda *args: None, script, loop)


def test_signals():
    front = Front()
    link = front.attach()
    link.mark_signals()
    assert link.signals() == 0
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert link.signals() == 1 << signal.SIGHUP
        link.mark_signals()
        assert link.signals() == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    link.close()
    front.close()


def test_wrong_memory():
    front = Front()
    try:
        with pytest.raises(OSError, match="not open"):
            _bridge.attach(9999, front.worker, front.front, [])
        with pytest.raises(OSError, match="mapped"):
            _bridge.attach(front.worker, front.worker, front.front, [])
        with pytest.raises(ValueError, match="header names"):
            _bridge.attach(front.memory, front.worker, front.front, [""] * 1000)
        with pytest.raises(TypeError):
            _bridge.attach(front.memory, front.worker, front.front, ["", 1])
        for at in (0, 8):
            for value in (0, 1, 1 << 16, 1 << 20, (1 << 20) + 4096, 1 << 40, (1 << 64) - 1):
                before = front.get64(at)
                if value == before:
                    continue
                front.put64(at, value)
                with pytest.raises(OSError, match="another version"):
                    _bridge.attach(front.memory, front.worker, front.front, [])
                front.put64(at, before)
        link = front.attach()
        with pytest.raises(TypeError):
            link.start(None, None, 1, "", True, False, print, print)
        with pytest.raises(AttributeError):
            link.start(None, None, None, "", True, False, print, print)
        link.close()
    finally:
        front.close()


def test_other_thread_drains(loop):
    async def script(front):
        def work():
            with pytest.raises(RuntimeError, match="thread"):
                front.link.drain()
            done.append(True)

        done = []
        await asyncio.to_thread(work)
        assert done

    run(lambda *args: None, script, loop)


# ------------------------------------------------------------------------- forks


def test_fork(loop, eager):
    """A forked child that calls into the bridge gets a clear error and has default signal handlers; when it returns
    through drain() nothing of the parent's is touched."""
    checked = []

    async def app(scope, receive, send):
        await receive()
        child = os.fork()
        if child:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            checked.append(status)
            await respond(send)
            return
        problems = 0
        for step in (receive(), send(START)):
            try:
                step.send(None)
            except RuntimeError as exc:
                problems += "forked child" not in str(exc)
            else:
                problems += 100
        problems += link.post(_bridge.STOPPED, 0, "") is not False
        try:
            _bridge.attach(0, 0, 0, [])
        except RuntimeError as exc:
            problems += "forked child" not in str(exc)
        else:
            problems += 100
        if scope["path"] == "/exit":
            os._exit(problems)
        raise Boom  # through the task and drain()

    async def script(front):
        nonlocal link
        link = front.link
        parent = os.getpid()

        def drain():
            try:
                link.drain()
            except BaseException:
                if os.getpid() != parent:
                    os._exit(50)
                raise
            finally:
                if os.getpid() != parent:
                    os._exit(7)

        asyncio.get_running_loop().add_reader(link.fileno(), drain)
        assert (await front.request(raw_path=b"/exit"))[2:] == (b"done", True)
        if eager and sys.version_info >= (3, 12):
            assert (await front.request())[2:] == (b"done", True)

    link = None
    run(app, script, loop, eager=eager)
    assert checked == ([0, 7] if eager and sys.version_info >= (3, 12) else [0])


def test_fork_after_the_end():
    """A process whose servers have ended may fork a child that attaches."""
    front = Front()
    front.attach().close()
    child = os.fork()
    if not child:
        status = 1
        try:
            front.attach().close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    front.close()


# -------------------------------------------------------------------- what stays


class Marked(dict):
    """A message that can be referred to weakly."""

    __slots__ = ("__weakref__",)


def test_references_end_with_the_call(loop, eager):
    """When a call has ended, its task, scope and messages go at once, without the garbage collector."""
    alive = []

    class Thing:
        pass

    async def app(scope, receive, send):
        thing = Thing()
        alive.append(weakref.ref(thing))
        scope["thing"] = thing
        scope["channels"] = receive, send
        alive.append(weakref.ref(asyncio.current_task()))
        message = Marked(START)
        message["thing"] = thing
        alive.append(weakref.ref(message))
        if scope["path"] == "/wait":
            await asyncio.sleep(0)
        if scope["path"] == "/gone":
            await receive()
            await receive()
        if scope["path"] == "/raise":
            try:
                raise Boom
            except Boom:
                return
        await send(message)
        await send(Marked(body(b"x")))

    async def script(front):
        for path in (b"/", b"/wait", b"/raise"):
            await front.request(raw_path=path)
        front.open(raw_path=b"/gone")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        front.disconnect()
        await front.next("end")
        for _ in range(3):
            await asyncio.sleep(0)
        left.extend(reference() for reference in alive)

    left = []
    gc.collect()
    gc.disable()
    try:
        reports = run(app, script, loop, eager=eager).reports
    finally:
        gc.enable()
    assert [text for _, _, text in reports] == ["ASGI callable returned without starting response."]
    assert left == [None] * 12


def test_references_of_bodies(loop):
    """A body is let go when it has been sent: at once if it was copied, when the front has read it if it was lent."""

    async def app(scope, receive, send):
        await send(START)
        await send(body(big, True))
        await send(body(big))

    async def script(front):
        before = sys.getrefcount(big)
        front.open()
        while (await front.next()).kind != "end":
            front.credit(WINDOW // 2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert sys.getrefcount(big) == before
        assert front.link.post(_bridge.LOG, 20, "")

    for process in (0, os.getpid()):
        big = os.urandom(WINDOW // 2)
        assert not run(app, script, loop, process=process).reports


def test_lent_bodies_outlive_the_link():
    """What the front may still read stays alive when the link is closed."""

    async def app(scope, receive, send):
        await send(START)
        await send(body(bytes([65]) * WINDOW))

    async def script(front):
        front.open()
        for _ in range(10):
            front.link.drain()
            await asyncio.sleep(0)
        front.link.close()
        assert (await front.response())[2:] == (b"A" * WINDOW, True)

    assert not run(app, script, process=os.getpid()).reports


async def kind_plain(receive, send):
    await receive()
    await respond(send)


async def kind_waiting(receive, send):
    await receive()
    await asyncio.sleep(0)
    await asyncio.create_task(send(START))
    await asyncio.gather(send(body(b"a", True)), send(body(b"b", True)))
    await send(body(bytearray(b"c")))


async def kind_raises(receive, send):
    await receive()
    raise Boom


async def kind_raises_late(receive, send):
    await send(START)
    await send(body(b"x", True))
    await asyncio.sleep(0)
    raise Boom


async def kind_wrong(receive, send):
    for event in (None, {}, {"type": 1}, body(), {**START, "headers": [(b"a b", b"c")]}, {**START, "headers": 1}):
        try:
            await send(event)
        except Exception:
            pass
    await respond(send)


async def kind_headers_then_nothing(receive, send):
    await send({**START, "headers": [(b"a", b"b" * 1000)]})


async def kind_never_awaited(receive, send):
    receive(), send(START)
    waiting = receive()
    await receive()
    await respond(send)
    del waiting


async def kind_cancelled_steps(receive, send):
    await receive()
    tasks = [asyncio.create_task(receive()) for _ in range(3)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await respond(send)


async def kind_left_behind(receive, send):
    await receive()
    asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    await respond(send)


async def kind_by_hand(receive, send):
    await receive()
    step = receive()
    step.send(None)
    step.close()
    step = receive()
    step.send(None)
    try:
        step.throw(Boom)
    except Boom:
        pass
    await respond(send)


async def kind_gone(receive, send):
    await receive()
    await receive()
    try:
        await send(START)
    except OSError:
        pass


async def kind_cancel(receive, send):
    await asyncio.Event().wait()


async def kind_upload(receive, send):
    while (await receive())["more_body"]:
        pass
    await respond(send)


KINDS = [value for name, value in list(globals().items()) if name.startswith("kind_")]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__[5:])
def test_nothing_stays(loop, kind):
    """10,000 calls of each kind leave memory as it was."""
    calls = int(os.environ.get("CALLS", 10000))
    measured = []

    async def app(scope, receive, send):
        await kind(receive, send)

    async def script(front):
        front.link.drain()

        async def batch(count):
            for i in range(count):
                front.open(
                    headers=[(1, b"host"), (b"x-number", b"%d" % (i & 255)), (11, b"secret")], more=kind is kind_upload
                )
                if kind is kind_gone:
                    front.link.drain()
                    await asyncio.sleep(0)
                    front.disconnect()
                elif kind is kind_cancel:
                    front.link.drain()
                    await asyncio.sleep(0)
                    front.cancel()
                elif kind is kind_upload:
                    front.body(b"1", True)
                    front.body(b"1" * 1000, False)
                while (await front.next()).kind != "end":
                    pass
            for _ in range(3):
                await asyncio.sleep(0)
            front.reports.clear()

        await batch(500)
        gc.collect()
        tracemalloc.start()
        await batch(200)
        for _ in range(2):
            gc.collect()
            measured.append((tracemalloc.get_traced_memory()[0], sys.getallocatedblocks()))
            if len(measured) < 2:
                await batch(calls)
        tracemalloc.stop()

    run(app, script, loop)
    (memory, blocks), (memory_after, blocks_after) = measured
    assert memory_after - memory < 32 * 1024
    assert blocks_after - blocks < 300
