"""Which objects of two scopes are the same: names and constants are shared, nothing that can change is."""

from respond import respond

LAST = []


async def app(scope, receive, send):
    assert scope["type"] == "http", "no lifespan here"
    LAST.append(scope)
    if len(LAST) < 2:
        return await respond(send, "once more")
    one, two = LAST[-2:]
    names = [[name for name, _ in scope["headers"]] for scope in (one, two)]
    await respond(
        send,
        {
            "keys": all(a is b for a, b in zip(one, two)),
            "constants": one["type"] is two["type"]
            and one["method"] is two["method"]
            and one["scheme"] is two["scheme"],
            "known names": all(a is b for a, b in zip(*names) if a != b"x-own"),
            "dicts": one is not two,
            "headers": one["headers"] is not two["headers"],
        },
    )
