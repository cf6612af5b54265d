"""Raises at every point of a request."""

import asyncio

from respond import respond, routes


def deep():
    raise LookupError("deep inside (wanted)")


async def before_start(scope, receive, send):
    deep()


async def after_start(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    deep()


async def in_body(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    deep()


async def in_body_with_length(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    deep()


async def after_response(scope, receive, send):
    await respond(send, "whole")
    deep()


async def after_waiting(scope, receive, send):
    await asyncio.sleep(0.01)
    deep()


async def chained(scope, receive, send):
    try:
        deep()
    except LookupError as error:
        raise ValueError("the effect (wanted)") from error


async def group(scope, receive, send):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.to_thread(deep))


async def cancelled(scope, receive, send):
    raise asyncio.CancelledError


class Odd(BaseException):
    pass


async def base_exception(scope, receive, send):
    raise Odd("odd (wanted)")


async def no_response(scope, receive, send):
    pass


async def only_start(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def half_response(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"part", "more_body": True})


async def returns_a_value(scope, receive, send):
    await respond(send, "whole")
    return "value"


async def fine(scope, receive, send):
    await respond(send, "fine")


app = routes(globals())
