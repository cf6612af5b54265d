"""Applications of every form."""

import functools
import sys


async def answer(body, scope, receive, send):
    assert scope["type"] == "http", "no lifespan here"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def app(scope, receive, send):
    await answer(b"app", scope, receive, send)


async def arguments(scope, receive, send):
    await answer(" ".join(sys.argv).encode(), scope, receive, send)


class Callable:
    async def __call__(self, scope, receive, send):
        await answer(b"callable instance", scope, receive, send)

    async def method(self, scope, receive, send):
        await answer(b"method", scope, receive, send)


class Instance:
    def __init__(self, scope, receive, send):
        self.arguments = scope, receive, send

    def __await__(self):
        return answer(b"class of awaitables", *self.arguments).__await__()


class Holder:
    async def inner(self, scope, receive, send):
        await answer(b"inner", scope, receive, send)


def double(scope):
    async def instance(receive, send):
        await answer(b"asgi 2", scope, receive, send)

    return instance


holder = Holder()
instance = Callable()
method = instance.method
partial = functools.partial(answer, b"partial")
number = 42


def factory():
    return functools.partial(answer, b"made by a factory")


def raising_factory():
    raise RuntimeError("no database (wanted)")


def empty_factory():
    pass


def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b"wsgi"]
