"""A lifespan that goes as its environment variable LIFESPAN says, and tells what happens."""

import os
import sys

from respond import respond


def tell(*words):
    """Like print, but in one piece also when Python does not buffer."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


MODE = os.environ.get("LIFESPAN", "normal")
SCOPES = []


async def app(scope, receive, send):
    if scope["type"] != "lifespan":
        return await respond(send, {"state": sorted(scope.get("state") or {}), "lifespans": len(SCOPES)})
    SCOPES.append(scope)
    tell("lifespan scope:", sorted(scope), scope["asgi"], scope.get("state"))
    if MODE == "raises":
        raise RuntimeError("no lifespan (wanted)")
    if MODE == "returns":
        return
    event = await receive()
    tell("lifespan event:", event)
    if MODE == "raises in startup":
        raise RuntimeError("startup raises (wanted)")
    if MODE == "failed":
        return await send({"type": "lifespan.startup.failed", "message": "the database is away"})
    if MODE == "failed silently":
        return await send({"type": "lifespan.startup.failed"})
    if MODE == "exits":
        raise SystemExit(7)
    if MODE == "wrong event":
        try:
            await send({"type": "lifespan.nonsense"})
        except Exception as error:
            tell("raised:", type(error).__name__, error)
    scope["state"]["ready"] = True
    await send({"type": "lifespan.startup.complete"})
    if MODE == "twice":
        try:
            await send({"type": "lifespan.startup.complete"})
        except Exception as error:
            tell("raised:", type(error).__name__)
    if MODE == "raises late":
        raise RuntimeError("lifespan dies (wanted)")
    if MODE == "returns late":
        return
    event = await receive()
    tell("lifespan event:", event)
    if MODE == "raises in shutdown":
        raise RuntimeError("shutdown raises (wanted)")
    if MODE == "shutdown failed":
        return await send({"type": "lifespan.shutdown.failed", "message": "could not flush"})
    await send({"type": "lifespan.shutdown.complete"})
    tell("lifespan done")
