import asyncio
import logging
import traceback

from blacksheep import Application, Content, Cookie, Response, get, json, post, redirect, text
from blacksheep.contents import StreamedContent

logging.basicConfig()
app = Application()


@app.on_start
async def startup(app):
    print("startup", flush=True)


@app.on_stop
async def shutdown(app):
    print("shutdown", flush=True)


@app.exception_handler(RuntimeError)
async def log_it(self, request, error):
    traceback.print_exception(error)
    return text("error", 500)


@get("/")
async def hello():
    return text("hello")


@get("/items/{id}")
async def item(id: int, q: str):
    return json({"id": id, "q": q})


@post("/json")
async def echo(request):
    return json(await request.json())


@post("/length")
async def length(request):
    return json({"length": len(await request.read() or b"")})


@post("/upload")
async def upload(request):
    answer = {}
    for part in await request.multipart():
        name = part.name.decode() if isinstance(part.name, bytes) else part.name
        data = await read(part)
        if name == "file":
            file = part.file_name.decode() if isinstance(part.file_name, bytes) else part.file_name
            answer.update(name=file, length=len(data))
        else:
            answer[name] = data.decode()
    return json(answer)


async def read(part):
    data = part.data
    return data if isinstance(data, bytes) else data.read()


async def parts():
    for n in range(50):
        yield b"%04d;" % n * 500


@get("/stream")
async def stream():
    return Response(200, content=StreamedContent(b"application/octet-stream", parts))


async def forever():
    try:
        while True:
            yield b"tick\n"
            await asyncio.sleep(0.02)
    finally:
        print("endless is over", flush=True)


@get("/endless")
async def endless():
    return Response(200, content=StreamedContent(b"application/octet-stream", forever))


@get("/cookie")
async def cookie(request):
    response = Response(200, content=Content(b"text/plain", request.cookies["a"].encode()))
    response.set_cookie(Cookie("b", "2"))
    return response


@get("/redirect")
async def away():
    return redirect("/")


@get("/error")
async def error():
    raise RuntimeError("the error (wanted)")
