"""Uses in requests what was made in the lifespan, on its loop and in its thread."""

import asyncio
import threading

from respond import respond


async def app(scope, receive, send):
    if scope["type"] != "lifespan":
        future = scope["state"]["loop"].create_future()
        same = scope["state"]["loop"] is asyncio.get_running_loop()
        main = scope["state"]["thread"] is threading.current_thread() is threading.main_thread()
        asyncio.get_running_loop().call_soon(future.set_result, "the same" if same and main else "not the same")
        return await respond(send, await future)
    await receive()
    scope["state"]["loop"] = asyncio.get_running_loop()
    scope["state"]["thread"] = threading.current_thread()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
