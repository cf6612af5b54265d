"""FastAPI streams that are idle for long, with and without a middleware in between."""

import asyncio

import fastapi
from fastapi.responses import StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware

app = fastapi.FastAPI()


async def events(name):
    try:
        yield b"data: first\n\n"
        await asyncio.sleep(30)
        yield b"data: second\n\n"
    finally:
        print(name, "ends", flush=True)


@app.get("/stream")
async def stream():
    return StreamingResponse(events("stream"), media_type="text/event-stream")


@app.get("/poll")
async def poll(request: fastapi.Request):
    """Asks is_disconnected() as long as its client is there."""
    print("poll: begins", flush=True)
    for _ in range(3000):
        if await request.is_disconnected():
            print("poll: client left", flush=True)
            return
        await asyncio.sleep(0.01)


class Through(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


@app.get("/sleep")
async def sleep():
    print("sleep: begins", flush=True)
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        print("sleep: cancelled", flush=True)
        raise


wrapped = Through(app)
