"""Uses receive() and send() in every way that applications use a coroutine."""

import asyncio
import collections.abc
import gc
import inspect
import traceback
import warnings

from respond import respond

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def is_request(event, body=b"body"):
    assert event["type"] == "http.request", event
    assert event["body"] == body, event
    return event


async def suspended(receive):
    """Takes the request, so that the next receive() has to wait."""
    is_request(await receive())
    return receive()


async def stop(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


@case
async def is_a_coroutine(receive, send):
    for coroutine in (receive(), send({"type": "http.response.body"})):
        assert asyncio.iscoroutine(coroutine)
        assert isinstance(coroutine, collections.abc.Coroutine)
        assert inspect.isawaitable(coroutine)
        coroutine.close()


@case
async def tells_debuggers_about_itself(receive, send):
    for name, coroutine in (("receive", receive()), ("send", send({"type": "http.response.body"}))):
        assert coroutine.__name__ == name
        assert coroutine.__qualname__.endswith(name)
        assert name in repr(coroutine), repr(coroutine)
        assert coroutine.cr_await is None
        assert hasattr(coroutine, "cr_frame")
        coroutine.close()
    task = asyncio.create_task(await suspended(receive))
    await asyncio.sleep(0)
    assert repr(task) and task.get_stack() is not None
    await stop(task)


@case
async def receive_is_lazy(receive, send):
    first, second = receive(), receive()
    is_request(await second)
    first.close()


@case
async def send_is_lazy(receive, send):
    # Were it not, the response that follows would be the second one.
    coroutine = send({"type": "http.response.start", "status": 500, "headers": []})
    await asyncio.sleep(0)
    coroutine.close()


@case
async def create_task(receive, send):
    is_request(await asyncio.create_task(receive()))


@case
async def create_task_with_name_and_ensure_future(receive, send):
    task = asyncio.ensure_future(asyncio.create_task(receive(), name="receiver"))
    is_request(await task)


@case
async def gather(receive, send):
    event, slept = await asyncio.gather(receive(), asyncio.sleep(0.01, "slept"))
    is_request(event)
    assert slept == "slept"


@case
async def wait_for(receive, send):
    is_request(await asyncio.wait_for(receive(), 10))


@case
async def wait_for_that_times_out(receive, send):
    is_request(await receive())
    try:
        await asyncio.wait_for(receive(), 0.02)
    except asyncio.TimeoutError:
        return
    raise AssertionError("the client is still there")


@case
async def shield(receive, send):
    is_request(await asyncio.shield(receive()))


@case
async def wait_and_as_completed(receive, send):
    done, pending = await asyncio.wait({asyncio.ensure_future(receive())}, timeout=10)
    assert not pending
    is_request(done.pop().result())
    for first in asyncio.as_completed([receive(), asyncio.sleep(0.01, "slept")]):
        assert await first == "slept"
        break


@case
async def task_group(receive, send):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(receive())
    is_request(task.result())


@case
async def wrapped_by_middleware(receive, send):
    async def wrapped():
        return await receive()

    is_request(await wrapped())


@case
async def stepped_by_hand(receive, send):
    coroutine = receive()
    try:
        coroutine.send(None)
    except StopIteration as stop:
        is_request(stop.value)
    else:
        raise AssertionError("the body was there")


@case
async def stepped_by_hand_through_await(receive, send):
    iterator = receive().__await__()
    assert iter(iterator) is iterator
    try:
        next(iterator)
    except StopIteration as stop:
        is_request(stop.value)
    else:
        raise AssertionError("the body was there")


@case
async def stepped_by_hand_while_it_waits(receive, send):
    coroutine = await suspended(receive)
    future = coroutine.send(None)
    assert asyncio.isfuture(future), future
    assert not future.done()
    assert coroutine.cr_await is not None
    coroutine.close()


@case
async def delegated_by_a_generator(receive, send):
    class Awaitable:
        def __await__(self):
            return (yield from receive().__await__())

    is_request(await Awaitable())


@case
async def thrown_into_before_its_start(receive, send):
    coroutine = receive()
    try:
        coroutine.throw(ValueError("wanted"))
    except ValueError as error:
        assert str(error) == "wanted"
    else:
        raise AssertionError("throw() raises what it is given")
    is_request(await receive())


@case
async def thrown_into_while_it_waits(receive, send):
    coroutine = await suspended(receive)
    assert asyncio.isfuture(coroutine.send(None))
    try:
        coroutine.throw(asyncio.CancelledError())
    except asyncio.CancelledError:
        pass
    else:
        raise AssertionError("throw() raises what it is given")
    await awaited_again(coroutine)


async def awaited_again(coroutine):
    try:
        await coroutine
    except RuntimeError as error:
        assert str(error) == "cannot reuse already awaited coroutine", error
    else:
        raise AssertionError("a coroutine runs once")


@case
async def awaited_twice(receive, send):
    coroutine = receive()
    is_request(await coroutine)
    await awaited_again(coroutine)


@case
async def closed(receive, send):
    coroutine = receive()
    coroutine.close()
    coroutine.close()
    await awaited_again(coroutine)
    is_request(await receive())


@case
async def sent_a_value_before_its_start(receive, send):
    coroutine = receive()
    try:
        coroutine.send("value")
    except TypeError as error:
        assert "can't send non-None value to a just-started coroutine" in str(error), error
    else:
        raise AssertionError("a coroutine takes None first")
    coroutine.close()


@case
async def never_awaited(receive, send):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        receive()
        send({"type": "http.response.start", "status": 500})
        gc.collect()
    assert not caught, [str(warning.message) for warning in caught]


@case
async def made_in_another_thread(receive, send):
    """As a2wsgi does."""
    loop = asyncio.get_running_loop()

    def work():
        return asyncio.run_coroutine_threadsafe(receive(), loop).result(10)

    is_request(await asyncio.to_thread(work))


@case
async def stepped_in_another_thread(receive, send):
    def work():
        try:
            receive().send(None)
        except RuntimeError as error:
            return str(error)
        except StopIteration:
            return None

    text = await asyncio.to_thread(work)
    assert text, "no RuntimeError"
    assert "thread" in text, text
    is_request(await receive())


@case
async def awaited_on_another_loop(receive, send):
    def work():
        async def main():
            await receive()

        try:
            asyncio.run(main())
        except RuntimeError as error:
            return str(error)

    assert await asyncio.to_thread(work), "no RuntimeError"
    is_request(await receive())


@case
async def eager_task_factory(receive, send):
    factory = getattr(asyncio, "eager_task_factory", None)
    if factory is None:  # CPython 3.11
        return
    loop = asyncio.get_running_loop()
    task = factory(loop, receive())
    assert task.done()
    is_request(await task)
    task = factory(loop, receive())
    await asyncio.sleep(0.01)
    await stop(task)


@case
async def cancelled_receive_loses_nothing(receive, send):
    task = asyncio.create_task(receive())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    is_request(await receive())


@case
async def cancelled_while_it_waits(receive, send):
    task = asyncio.create_task(await suspended(receive))
    await asyncio.sleep(0.01)
    await stop(task)


@case
async def many_wait_at_once(receive, send):
    is_request(await receive())
    tasks = [asyncio.create_task(receive()) for _ in range(20)]
    done, pending = await asyncio.wait(tasks, timeout=0.02)
    assert not done and len(pending) == 20
    for task in tasks:
        await stop(task)


async def app(scope, receive, send):
    assert scope["type"] == "http", "no lifespan here"
    if scope["path"] == "/":
        return await respond(send, list(CASES))
    try:
        await CASES[scope["path"][1:]](receive, send)
    except BaseException:
        await respond(send, traceback.format_exc())
    else:
        await respond(send, "fine")
