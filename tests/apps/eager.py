"""What applications ask of their task, in eager and in scheduled tasks alike."""

import asyncio
import contextvars
import threading

import anyio
import anyio.abc
import anyio.to_thread
from respond import read_body, respond, routes

VARIABLE = contextvars.ContextVar("VARIABLE", default=None)


async def current_task(scope, receive, send):
    before = asyncio.current_task()
    assert isinstance(before, asyncio.Task)
    assert before in asyncio.all_tasks()
    assert asyncio.get_running_loop() is before.get_loop()
    await asyncio.sleep(0)
    assert asyncio.current_task() is before
    await respond(send, "fine")


async def context(scope, receive, send):
    """Concurrent requests do not see each other's context variables, nor do later ones."""
    value = scope["query_string"].decode()
    assert VARIABLE.get() is None, VARIABLE.get()
    VARIABLE.set(value)
    for _ in range(5):
        await asyncio.sleep(0.001)
        assert VARIABLE.get() == value
    assert await asyncio.to_thread(VARIABLE.get) == value
    await respond(send, "fine")


async def context_of_a_simple_one(scope, receive, send):
    """The same for requests that never wait."""
    assert VARIABLE.get() is None, VARIABLE.get()
    VARIABLE.set("simple")
    await respond(send, "fine")
    assert VARIABLE.get() == "simple"


async def anyio_task_group(scope, receive, send):
    results = []

    async def child(n, *, task_status=anyio.TASK_STATUS_IGNORED):
        task_status.started(n)
        await anyio.sleep(0.001)
        results.append(n)

    async with anyio.create_task_group() as group:
        assert await group.start(child, 0) == 0
        for n in range(1, 4):
            group.start_soon(child, n)
    assert sorted(results) == [0, 1, 2, 3]
    await respond(send, "fine")


async def anyio_task_group_at_once(scope, receive, send):
    """As Starlette's StreamingResponse: a group is entered before anything was awaited."""
    heard = []

    async def listen(scope):
        await receive()
        await receive()
        heard.append(True)
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(listen, group.cancel_scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fi", "more_body": True})
        await anyio.sleep(0.001)
        await send({"type": "http.response.body", "body": b"ne"})
        group.cancel_scope.cancel()
    assert not heard or heard == [True]


async def anyio_cancel_scopes(scope, receive, send):
    await read_body(receive)
    with anyio.move_on_after(0.01) as cancel_scope:
        await receive()
        raise AssertionError("the client is still there")
    assert cancel_scope.cancelled_caught
    try:
        with anyio.fail_after(0.01):
            await anyio.sleep_forever()
    except TimeoutError:
        pass
    else:
        raise AssertionError("no TimeoutError")
    with anyio.CancelScope() as cancel_scope:
        cancel_scope.cancel()
        await anyio.sleep(1)
    assert cancel_scope.cancelled_caught
    assert asyncio.current_task().cancelling() == 0
    await anyio.sleep(0)
    await respond(send, "fine")


async def anyio_to_thread(scope, receive, send):
    def work():
        return anyio.from_thread.run(child), anyio.from_thread.run_sync(threading.current_thread)

    async def child():
        return "child"

    assert await anyio.to_thread.run_sync(work) == ("child", threading.main_thread())
    await respond(send, "fine")


async def timeout(scope, receive, send):
    await read_body(receive)
    try:
        async with asyncio.timeout(0.01):
            await receive()
    except TimeoutError:
        pass
    else:
        raise AssertionError("no TimeoutError")
    async with asyncio.timeout(10):
        await respond(send, "fine")


async def timeout_at_once(scope, receive, send):
    try:
        async with asyncio.timeout(0):
            await asyncio.sleep(1)
    except TimeoutError:
        await respond(send, "fine")


async def task_group(scope, receive, send):
    async with asyncio.TaskGroup() as group:
        first = group.create_task(asyncio.sleep(0, "first"))
        second = group.create_task(asyncio.to_thread(lambda: "second"))
    assert (first.result(), second.result()) == ("first", "second")
    await respond(send, "fine")


async def exits(scope, receive, send):
    raise {"SystemExit": SystemExit(5), "KeyboardInterrupt": KeyboardInterrupt()}[scope["query_string"].decode()]


async def exits_later(scope, receive, send):
    await asyncio.sleep(0.01)
    await exits(scope, receive, send)


routed = routes(globals())


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("lifespan shutdown", flush=True)
        return await send({"type": "lifespan.shutdown.complete"})
    await routed(scope, receive, send)
