"""Answers with its scope. Bytes are shown as text, the types of the values beside them."""

from respond import respond


def plain(value):
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        scope["state"].update(shared=[], number=1)
        assert (await receive())["type"] == "lifespan.startup"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return await send({"type": "lifespan.shutdown.complete"})
    types = {key: type(value).__name__ for key, value in scope.items()}
    if state := scope.get("state"):
        state["shared"].append(len(state["shared"]))
        state["number"] += 1
        state["new"] = True
    await respond(send, {"scope": plain(scope), "types": types})
