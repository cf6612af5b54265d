"""The two applications that are measured: bare ASGI, and FastAPI with a validated item."""

from fastapi import FastAPI
from pydantic import BaseModel


async def hello(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"Hello, World!"})


class Item(BaseModel):
    id: int
    name: str
    tags: list[str] = []


fastapi = FastAPI()


@fastapi.get("/{item_id}")
async def item(item_id: int, q: str | None = None) -> Item:
    return Item(id=item_id, name=q or "x", tags=["a", "b"])
