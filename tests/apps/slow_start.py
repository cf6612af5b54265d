"""Takes its time to start."""

import asyncio
import os

from respond import respond


async def app(scope, receive, send):
    if scope["type"] != "lifespan":
        return await respond(send, "started")
    await receive()
    print("starting", flush=True)
    try:
        await asyncio.sleep(1000 if os.environ.get("START") == "never" else 1)
    except asyncio.CancelledError:
        print("cancelled", flush=True)
        raise
    print("started", flush=True)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
