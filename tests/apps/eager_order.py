"""Tells whether its task was started eagerly: a scheduled one has gone through loop.call_soon() before."""

import asyncio

from respond import respond

SCHEDULED = []


async def app(scope, receive, send):
    assert scope["type"] == "http", "no lifespan here"
    loop = asyncio.get_running_loop()
    if scope["path"] == "/watch":
        original = loop.call_soon

        def call_soon(callback, *arguments, **options):
            SCHEDULED.append(type(callback).__name__)
            return original(callback, *arguments, **options)

        loop.call_soon = call_soon
        return await respond(send, "watching")
    eager = not any(name.startswith("Task") for name in SCHEDULED)
    SCHEDULED.clear()
    await respond(send, "eager" if eager else "scheduled")
