"""A small shop in FastAPI: items in SQLite, validation, a stream, an upload, a background task, lifespan state.

SHOP_DATABASE names the database file; without it, shop.sqlite3 in the current directory.
"""

import asyncio
import contextlib
import hashlib
import os
import sqlite3

from fastapi import BackgroundTasks, FastAPI, HTTPException, Request, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

DATABASE = os.environ.get("SHOP_DATABASE", "shop.sqlite3")
SCHEMA = """
CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, price REAL NOT NULL);
CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
"""


@contextlib.contextmanager
def connect():
    """A connection of its own for each use: FastAPI runs plain functions in threads."""
    with contextlib.closing(sqlite3.connect(DATABASE, timeout=10)) as connection, connection:
        connection.row_factory = sqlite3.Row
        yield connection


@contextlib.asynccontextmanager
async def lifespan(app):
    """What is yielded here is request.state of every request; values are shared, the state is not."""
    with connect() as connection:
        connection.executescript(SCHEMA)
    yield {"counts": {"requests": 0}}
    print("the shop is closed", flush=True)


app = FastAPI(title="Shop", lifespan=lifespan)


class NewItem(BaseModel):
    name: str = Field(min_length=1, max_length=50)
    price: float = Field(gt=0, le=1_000_000)


class Item(NewItem):
    id: int


@app.middleware("http")
async def count(request: Request, call_next):
    request.state.counts["requests"] += 1
    return await call_next(request)


@app.get("/")
async def index(request: Request):
    return {"hello": "world", "requests": request.state.counts["requests"]}


@app.get("/items")
def list_items() -> list[Item]:
    with connect() as connection:
        return [Item(**row) for row in connection.execute("SELECT id, name, price FROM item ORDER BY id")]


@app.post("/items", status_code=201)
def create_item(item: NewItem, background: BackgroundTasks) -> Item:
    try:
        with connect() as connection:
            row = connection.execute("INSERT INTO item (name, price) VALUES (?, ?)", (item.name, item.price))
    except sqlite3.IntegrityError:
        raise HTTPException(409, f"there is an item {item.name!r} already") from None
    background.add_task(write_note, f"created {item.name}")
    return Item(id=row.lastrowid, **item.model_dump())


@app.get("/items/{item_id}")
def read_item(item_id: int) -> Item:
    with connect() as connection:
        row = connection.execute("SELECT id, name, price FROM item WHERE id = ?", (item_id,)).fetchone()
    if row is None:
        raise HTTPException(404, "no such item")
    return Item(**row)


@app.delete("/items/{item_id}", status_code=204)
def delete_item(item_id: int) -> None:
    with connect() as connection:
        deleted = connection.execute("DELETE FROM item WHERE id = ?", (item_id,)).rowcount
    if not deleted:
        raise HTTPException(404, "no such item")


def write_note(text):
    """Runs after the response was sent."""
    with connect() as connection:
        connection.execute("INSERT INTO note (text) VALUES (?)", (text,))


@app.get("/notes")
def list_notes() -> list[str]:
    with connect() as connection:
        return [row["text"] for row in connection.execute("SELECT text FROM note ORDER BY id")]


@app.get("/export")
async def export():
    """Streams the items as CSV; memory stays the same however many there are."""

    async def lines():
        yield "id,name,price\n"
        last = 0
        while True:
            with connect() as connection:
                query = "SELECT id, name, price FROM item WHERE id > ? ORDER BY id LIMIT 100"
                rows = connection.execute(query, (last,)).fetchall()
            if not rows:
                return
            last = rows[-1]["id"]
            yield "".join(f"{row['id']},{row['name']},{row['price']}\n" for row in rows)

    return StreamingResponse(lines(), media_type="text/csv")


@app.get("/ticks")
async def ticks():
    """Server-sent events without an end; the stream is over when the client leaves or the server stops."""

    async def events():
        number = 0
        try:
            while True:
                yield f"data: {number}\n\n"
                number += 1
                await asyncio.sleep(0.5)
        finally:
            print("a stream of ticks is over", flush=True)

    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/upload")
async def upload(file: UploadFile):
    digest, size = hashlib.sha256(), 0
    while part := await file.read(1 << 16):
        digest.update(part)
        size += len(part)
    return {"name": file.filename, "size": size, "sha256": digest.hexdigest()}


@app.get("/error")
async def error():
    raise RuntimeError("this error is wanted: look at the log")
