import asyncio

from sanic import Sanic, response

app = Sanic("tests", configure_logging=True)
app.config.REQUEST_MAX_SIZE = 100_000_000


@app.before_server_start
async def startup(app):
    print("startup", flush=True)


@app.after_server_stop
async def shutdown(app):
    print("shutdown", flush=True)


@app.get("/")
async def hello(request):
    return response.text("hello")


@app.get("/items/<id:int>")
async def item(request, id):
    return response.json({"id": id, "q": request.args.get("q")})


@app.post("/json")
async def echo(request):
    return response.json(request.json)


@app.post("/length")
async def length(request):
    return response.json({"length": len(request.body)})


@app.post("/upload")
async def upload(request):
    file = request.files.get("file")
    return response.json({"name": file.name, "length": len(file.body), "field": request.form.get("field")})


@app.get("/stream")
async def stream(request):
    answer = await request.respond()
    for n in range(50):
        await answer.send(b"%04d;" % n * 500)
    await answer.eof()


@app.get("/endless")
async def endless(request):
    answer = await request.respond()
    try:
        while True:
            await answer.send(b"tick\n")
            await asyncio.sleep(0.02)
    finally:
        print("endless is over", flush=True)


@app.get("/cookie")
async def cookie(request):
    answer = response.text(request.cookies.get("a"))
    answer.add_cookie("b", "2", secure=False)
    return answer


@app.get("/redirect")
async def redirect(request):
    return response.redirect("/")


@app.get("/error")
async def error(request):
    raise RuntimeError("the error (wanted)")
