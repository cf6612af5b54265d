import asyncio
import contextlib

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Route


async def hello(request):
    return PlainTextResponse("hello")


async def item(request):
    return JSONResponse({"id": request.path_params["id"], "q": request.query_params["q"]})


async def echo(request):
    return JSONResponse(await request.json())


async def length(request):
    total = 0
    async for part in request.stream():
        total += len(part)
    return JSONResponse({"length": total})


async def upload(request):
    async with request.form() as form:
        content = await form["file"].read()
        return JSONResponse({"name": form["file"].filename, "length": len(content), "field": form["field"]})


async def parts():
    for n in range(50):
        yield b"%04d;" % n * 500


async def stream(request):
    return StreamingResponse(parts())


async def forever():
    try:
        while True:
            yield b"tick\n"
            await asyncio.sleep(0.02)
    finally:
        print("endless is over", flush=True)


async def endless(request):
    return StreamingResponse(forever())


async def cookie(request):
    response = PlainTextResponse(request.cookies["a"])
    response.set_cookie("b", "2")
    return response


async def redirect(request):
    return RedirectResponse("/")


async def error(request):
    raise RuntimeError("the error (wanted)")


@contextlib.asynccontextmanager
async def lifespan(app):
    print("startup", flush=True)
    yield
    print("shutdown", flush=True)


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/", hello),
        Route("/items/{id:int}", item),
        Route("/json", echo, methods=["POST"]),
        Route("/length", length, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/stream", stream),
        Route("/endless", endless),
        Route("/cookie", cookie),
        Route("/redirect", redirect),
        Route("/error", error),
    ],
)
