import asyncio
import logging

import falcon
import falcon.asgi

from .starlette_app import parts


class Lifespan:
    async def process_startup(self, scope, event):
        print("startup", flush=True)

    async def process_shutdown(self, scope, event):
        print("shutdown", flush=True)


class Hello:
    async def on_get(self, request, response):
        response.text = "hello"
        response.content_type = falcon.MEDIA_TEXT


class Item:
    async def on_get(self, request, response, id):
        response.media = {"id": id, "q": request.params["q"]}


class Echo:
    async def on_post(self, request, response):
        response.media = await request.get_media()


class Length:
    async def on_post(self, request, response):
        total = 0
        async for part in request.stream:
            total += len(part)
        response.media = {"length": total}


class Upload:
    async def on_post(self, request, response):
        answer = {}
        async for part in await request.get_media():
            if part.name == "file":
                answer.update(name=part.filename, length=len(await part.stream.read()))
            else:
                answer[part.name] = (await part.data).decode()
        response.media = answer


class Stream:
    async def on_get(self, request, response):
        response.stream = parts()


class Endless:
    async def on_get(self, request, response):
        async def forever():
            try:
                while True:
                    yield b"tick\n"
                    await asyncio.sleep(0.02)
            finally:
                print("endless is over", flush=True)

        response.stream = forever()


class Cookie:
    async def on_get(self, request, response):
        response.text = request.cookies["a"]
        response.content_type = falcon.MEDIA_TEXT
        response.set_cookie("b", "2", secure=False)


class Redirect:
    async def on_get(self, request, response):
        raise falcon.HTTPFound("/")


class Error:
    async def on_get(self, request, response):
        raise RuntimeError("the error (wanted)")


logging.basicConfig()
app = falcon.asgi.App(middleware=[Lifespan()])
app.req_options.default_media_type = falcon.MEDIA_JSON
app.add_route("/", Hello())
app.add_route("/items/{id:int}", Item())
app.add_route("/json", Echo())
app.add_route("/length", Length())
app.add_route("/upload", Upload())
app.add_route("/stream", Stream())
app.add_route("/endless", Endless())
app.add_route("/cookie", Cookie())
app.add_route("/redirect", Redirect())
app.add_route("/error", Error())
handler = app.req_options.media_handlers[falcon.MEDIA_MULTIPART]
handler.parse_options.max_body_part_buffer_size = 10_000_000
