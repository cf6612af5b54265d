"""receive() and send() pass for coroutines in every way in which applications use one."""

import asyncio
import collections.abc
import contextvars
import gc
import inspect
import threading
import types
import warnings

import pytest
from front import Front, run
from goasgi import _bridge

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


def serve(app, loop, *, reports=0, **options):
    """One request to app; returns (status, body, complete)."""
    got = []

    async def script(front):
        status, _, content, complete = await front.request()
        got.append((status, content, complete))

    front = run(app, script, loop, **options)
    assert len(front.reports) == reports, front.reports
    return got[0]


async def plain(receive, send):
    assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
    await send(START)
    await send(body(b"done"))


async def in_tasks(receive, send):
    task = asyncio.create_task(receive())
    assert (await task)["type"] == "http.request"
    await asyncio.create_task(send(START), name="start")
    await asyncio.ensure_future(send(body(b"done")))


async def gathered(receive, send):
    event, _, _ = await asyncio.gather(receive(), send(START), send(body(b"done")))
    assert event["type"] == "http.request"


async def waited_for(receive, send):
    assert (await asyncio.wait_for(receive(), 5))["type"] == "http.request"
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(receive(), 0.01)
    await asyncio.wait_for(send(START), 5)
    async with asyncio.timeout(5):
        await send(body(b"done"))


async def shielded(receive, send):
    assert (await asyncio.shield(receive()))["type"] == "http.request"
    await asyncio.shield(send(START))
    await asyncio.shield(send(body(b"done")))


async def threadsafe(receive, send):
    loop = asyncio.get_running_loop()

    def work():
        assert asyncio.run_coroutine_threadsafe(receive(), loop).result(5)["type"] == "http.request"
        asyncio.run_coroutine_threadsafe(send(START), loop).result(5)
        asyncio.run_coroutine_threadsafe(send(body(b"done")), loop).result(5)

    await asyncio.to_thread(work)


async def by_hand(receive, send):
    with pytest.raises(StopIteration) as stop:
        receive().send(None)
    assert stop.value.value["type"] == "http.request"
    with pytest.raises(StopIteration) as stop:
        next(send(START))
    assert stop.value.value is None
    with pytest.raises(StopIteration):
        send(body(b"do", True)).__await__().__next__()
    step = send(message=body(b"ne"))
    with pytest.raises(TypeError, match="just-started coroutine"):  # as a native coroutine says
        step.send("a value")
    with pytest.raises(StopIteration):
        step.send(None)


async def by_hand_waiting(receive, send):
    await receive()
    step = receive()
    future = step.send(None)
    assert asyncio.isfuture(future) and future._asyncio_future_blocking and not future.done()
    assert step.send(None) is future  # nothing has come
    future._asyncio_future_blocking = False
    await send(START)
    await send(body(b"done"))
    await asyncio.wait_for(future, 5)
    with pytest.raises(StopIteration) as stop:
        step.send(None)
    assert stop.value.value == {"type": "http.disconnect"}


async def wrapped_coroutine(receive, send):
    @types.coroutine
    def delegate(awaitable):
        return (yield from awaitable)

    assert (await delegate(receive()))["type"] == "http.request"
    await delegate(send(START))
    await delegate(send(body(b"done").copy()))


async def mappings(receive, send):
    class Message(collections.abc.Mapping):
        def __init__(self, data):
            self.data = data

        def __getitem__(self, key):
            return self.data[key]

        def __iter__(self):
            return iter(self.data)

        def __len__(self):
            return len(self.data)

    class Dict(dict):
        pass

    await send(Message(START))
    await send(Dict(body(bytearray(b"do"), True)))
    await send(Message(body(memoryview(b"ne"))))


async def task_group(receive, send):
    async with asyncio.TaskGroup() as group:
        group.create_task(receive())
        group.create_task(send(START))
        group.create_task(send(body(b"do", True)))
        group.create_task(send(body(b"ne")))


FORMS = [
    plain,
    in_tasks,
    gathered,
    waited_for,
    shielded,
    threadsafe,
    by_hand,
    by_hand_waiting,
    wrapped_coroutine,
    mappings,
    task_group,
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_forms(loop, eager, debug, form):
    async def app(scope, receive, send):
        await form(receive, send)

    assert serve(app, loop, eager=eager, debug=debug) == (200, b"done", True)


def test_anyio(loop):
    anyio = pytest.importorskip("anyio", reason="anyio is not installed here")

    async def app(scope, receive, send):
        def work():
            assert anyio.from_thread.run(receive)["type"] == "http.request"
            anyio.from_thread.run(send, START)

        await anyio.to_thread.run_sync(work)
        with anyio.move_on_after(0.01) as cancelled:
            await receive()
        assert cancelled.cancelled_caught
        async with anyio.create_task_group() as group:
            group.start_soon(receive)
            await send(body(b"done"))

    assert serve(app, loop) == (200, b"done", True)


def test_a2wsgi(loop):
    a2wsgi = pytest.importorskip("a2wsgi", reason="a2wsgi is not installed here")

    def wsgi(environ, start_response):
        data = environ["wsgi.input"].read()
        start_response("200 OK", [("content-type", "text/plain")])
        return [b"do", b"ne:", data]

    async def script(front):
        front.open(method=b"POST", body=b"12", more=True)
        front.body(b"34", more=False)
        assert (await front.response())[2:] == (b"done:1234", True)

    assert not run(a2wsgi.WSGIMiddleware(wsgi), script, loop).reports


def test_lazy(loop):
    """Nothing happens until a step is stepped."""

    async def app(scope, receive, send):
        unused = [receive(), send(START), send({"type": "nonsense"}), send(None)]
        assert (await receive())["type"] == "http.request"
        start, first, last = send(START), send(body(b"1", True)), send(body(b"2"))
        await start
        await first
        await last
        del unused

    assert serve(app, loop) == (200, b"12", True)


@pytest.mark.parametrize("kind", ["receive", "send"])
def test_attributes(loop, kind):
    async def app(scope, receive, send):
        function = {"receive": receive, "send": send}[kind]
        assert function.__name__ == function.__qualname__ == kind
        assert callable(function)
        if hasattr(inspect, "markcoroutinefunction"):
            assert inspect.iscoroutinefunction(function)
        else:
            assert asyncio.iscoroutinefunction(function)
        step = function(START) if kind == "send" else function()
        assert asyncio.iscoroutine(step)
        assert inspect.isawaitable(step)
        assert isinstance(step, collections.abc.Coroutine)
        assert isinstance(step, collections.abc.Awaitable)
        assert step.__name__ == step.__qualname__ == kind
        assert step.cr_await is None and step.cr_frame is None and step.cr_code is None and step.cr_origin is None
        assert step.cr_running is False and step.cr_suspended is False
        assert f"coroutine object goasgi.{kind} at 0x" in repr(step)
        with pytest.raises(TypeError):
            type(step)()
        with pytest.raises(TypeError):
            type(function)()
        step.close()
        step.close()
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await step
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            step.throw(ValueError)

        await receive()
        waiting = receive()
        future = waiting.send(None)
        assert waiting.cr_await is future and waiting.cr_suspended and not waiting.cr_running
        waiting.close()
        task = asyncio.create_task(receive(), name="watcher")
        await asyncio.sleep(0)
        assert "receive" in repr(task) and task.get_coro().cr_await is not None
        assert task.get_stack() == []
        task.print_stack()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await send(START)
        await send(body(b"done"))

    assert serve(app, loop) == (200, b"done", True)


def test_wrong_arguments(loop):
    async def app(scope, receive, send):
        for call in (
            lambda: receive(1),
            lambda: receive(x=1),
            lambda: send(),
            lambda: send(1, 2),
            lambda: send(messages={}),
            lambda: send({}, message={}),
        ):
            with pytest.raises(TypeError, match=r"receive\(\) takes no|send\(\) takes exactly"):
                call()
        await plain(receive, send)

    assert serve(app, loop) == (200, b"done", True)


def test_throw(loop):
    async def app(scope, receive, send):
        for arguments in ((ValueError("x"),), (ValueError,), (ValueError, ValueError("x")), (ValueError, "x", None)):
            with pytest.raises(ValueError):
                receive().throw(*arguments)
        with pytest.raises(TypeError, match="exceptions must be"):
            receive().throw(1)
        try:
            raise ValueError("with a traceback")
        except ValueError as exc:
            kept, traceback = exc, exc.__traceback__
        with pytest.raises(ValueError) as caught:
            receive().throw(kept)
        assert caught.value is kept and any(
            entry.tb_lineno == traceback.tb_lineno for entry in walk(kept.__traceback__)
        )
        await receive()
        waiting = receive()
        waiting.send(None)
        with pytest.raises(KeyError):
            waiting.throw(KeyError("k"))
        await send(START)
        await send(body(b"done"))

    assert serve(app, loop) == (200, b"done", True)


def walk(traceback):
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def test_other_thread(loop):
    """Stepped in another thread: a clear RuntimeError, and the step can still be used in the right one."""
    found = []

    async def app(scope, receive, send):
        steps = [receive(), send(START), send(body(b"done"))]

        def work():
            for step in steps:
                try:
                    step.send(None)
                except RuntimeError as exc:
                    found.append(str(exc))
                try:
                    asyncio.run(await_it(step))
                except RuntimeError as exc:
                    found.append(str(exc))

        thread = threading.Thread(target=work)
        thread.start()
        await asyncio.to_thread(thread.join)
        for step in steps:
            await step

    async def await_it(step):
        await step

    assert serve(app, loop) == (200, b"done", True)
    assert len(found) == 6
    for text in found:
        assert "not in another thread" in text and text.startswith(("receive()", "send()"))


def test_running_step(loop):
    """A step that is stepped from inside itself, by a message that is Python code."""
    seen = []

    async def app(scope, receive, send):
        class Message(dict):
            def __getitem__(self, key):
                for use in (lambda: step.send(None), step.close, lambda: step.throw(ValueError)):
                    with pytest.raises(ValueError, match="already executing"):
                        use()
                seen.append((step.cr_running, step.cr_suspended, step.cr_await))
                return dict.__getitem__(self, key)

        step = send(Message(START))
        await step
        await send(body(b"done"))

    assert serve(app, loop) == (200, b"done", True)
    assert set(seen) == {(True, False, None)}


def test_message_that_sends(loop):
    """Events keep the order in which they were first stepped, also if the headers of one are made by stepping another."""

    async def app(scope, receive, send):
        other = send(body(b"done"))

        def headers():
            other.send(None)  # waits for its turn
            yield (b"x", b"y")

        await send({"type": "http.response.start", "status": 201, "headers": headers()})
        await other

    assert serve(app, loop) == (201, b"done", True)


def test_never_awaited(loop, recwarn):
    """Steps that are never awaited leave no warning and nothing else."""
    left = []

    class Mark:
        def __del__(self):
            left.append(1)

    async def app(scope, receive, send):
        for _ in range(10):
            receive()
            send({"type": "http.response.body", "mark": Mark()})
        assert len(left) == 10
        waiting = receive()
        await receive()
        waiting = receive()
        waiting.send(None)
        del waiting
        await send(START)
        await send(body(b"done"))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert serve(app, loop) == (200, b"done", True)
        gc.collect()
    assert not recwarn.list


def test_context(loop, eager):
    """Each request has a context of its own."""
    variable = contextvars.ContextVar("variable", default=0)

    async def app(scope, receive, send):
        assert variable.get() == 0
        variable.set(1)
        await receive()
        assert asyncio.current_task() is not None
        await asyncio.sleep(0)
        assert variable.get() == 1
        await send(START)
        await send(body(b"done"))

    async def script(front):
        for slot in range(20):
            front.open(slot, flush=False)
        front.flush()
        ends = 0
        while ends < 20:
            ends += (await front.next()).kind == "end"

    assert not run(app, script, loop, eager=eager).reports


def test_exception_while_others_wait(loop):
    """An error of a step is its own, also if another waits behind it."""

    async def app(scope, receive, send):
        await receive()
        await send(START)
        wrong = send({"type": "http.response.start", "status": 200})
        others = [asyncio.create_task(send(wrong_one)) for wrong_one in ({"type": "nonsense"}, {"type": 1}, {})]
        first = asyncio.create_task(wrong)
        results = await asyncio.gather(first, *others, return_exceptions=True)
        assert [type(result) for result in results] == [RuntimeError, RuntimeError, TypeError, KeyError]
        tasks = [asyncio.create_task(receive()) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
        assert tasks[0].cancelled()
        await send(body(b"done"))
        assert [event["type"] for event in await asyncio.gather(*tasks[1:])] == ["http.disconnect"] * 2

    assert serve(app, loop) == (200, b"done", True)


def test_class_names():
    assert issubclass(_bridge.ClientDisconnected, OSError)
    assert _bridge.ClientDisconnected.__module__ == "goasgi"
    front = Front()
    link = front.attach()
    with pytest.raises(RuntimeError, match="not been started"):
        link.drain()
    link.close()
    link.close()
    front.close()
