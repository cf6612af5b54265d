import asyncio
import contextlib
from typing import Annotated, Any

from litestar import Litestar, Request, get, post
from litestar.datastructures import Cookie, UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect, Response, Stream


@get("/", media_type="text/plain")
async def hello() -> str:
    return "hello"


@get("/items/{id:int}")
async def item(id: int, q: str) -> dict[str, Any]:
    return {"id": id, "q": q}


@post("/json", status_code=200)
async def echo(data: dict[str, Any]) -> dict[str, Any]:
    return data


@post("/length", status_code=200, request_max_body_size=None)
async def length(request: Request) -> dict[str, Any]:
    total = 0
    async for part in request.stream():
        total += len(part)
    return {"length": total}


@post("/upload", status_code=200)
async def upload(
    data: Annotated[dict[str, Any], Body(media_type=RequestEncodingType.MULTI_PART)],
) -> dict[str, Any]:
    file: UploadFile = data["file"]
    return {"name": file.filename, "length": len(await file.read()), "field": data["field"]}


async def parts():
    for n in range(50):
        yield b"%04d;" % n * 500


@get("/stream")
async def stream() -> Stream:
    return Stream(parts())


async def forever():
    try:
        while True:
            yield b"tick\n"
            await asyncio.sleep(0.02)
    finally:
        print("endless is over", flush=True)


@get("/endless")
async def endless() -> Stream:
    return Stream(forever())


@get("/cookie", media_type="text/plain")
async def cookie(request: Request) -> Response[str]:
    return Response(request.cookies["a"], cookies=[Cookie(key="b", value="2")])


@get("/redirect")
async def redirect() -> Redirect:
    return Redirect("/")


@get("/error")
async def error() -> None:
    raise RuntimeError("the error (wanted)")


@contextlib.asynccontextmanager
async def lifespan(app):
    print("startup", flush=True)
    yield
    print("shutdown", flush=True)


app = Litestar(
    [hello, item, echo, length, upload, stream, endless, cookie, redirect, error], lifespan=[lifespan], debug=True
)
