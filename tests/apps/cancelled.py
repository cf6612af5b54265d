"""Its task is cancelled at every point where it can be suspended."""

import asyncio

from respond import read_body, respond, routes


async def cancel_me(scope, receive, send):
    """/cancel_me?N cancels the request's own task N turns of the loop after its start."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    turns = int(scope["query_string"])

    def turn(left):
        if left:
            loop.call_soon(turn, left - 1)
        else:
            task.cancel()

    turn(turns)
    await asyncio.sleep(0)
    await read_body(receive)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(20):
        await send({"type": "http.response.body", "body": b"x" * 10000, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body"})
    await asyncio.sleep(10)


async def swallow(scope, receive, send):
    """A cancelled receive(), a cancelled send(), and then a whole answer all the same."""
    await read_body(receive)
    for coroutine in (receive(), receive()):
        task = asyncio.create_task(coroutine)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    task = asyncio.create_task(send({"type": "http.response.start", "status": 500, "headers": []}))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await respond(send, "whole")


async def fine(scope, receive, send):
    await respond(send, "fine")


app = routes(globals())
