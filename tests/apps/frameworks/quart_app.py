import asyncio

from quart import Quart, make_response, redirect, request

app = Quart(__name__)
app.config["MAX_CONTENT_LENGTH"] = None


@app.before_serving
async def startup():
    print("startup", flush=True)


@app.after_serving
async def shutdown():
    print("shutdown", flush=True)


@app.get("/")
async def hello():
    return "hello"


@app.get("/items/<int:id>")
async def item(id):
    return {"id": id, "q": request.args["q"]}


@app.post("/json")
async def echo():
    return await request.get_json()


@app.post("/length")
async def length():
    total = 0
    async for part in request.body:
        total += len(part)
    return {"length": total}


@app.post("/upload")
async def upload():
    file = (await request.files)["file"]
    return {"name": file.filename, "length": len(file.read()), "field": (await request.form)["field"]}


@app.get("/stream")
async def stream():
    async def parts():
        for n in range(50):
            yield b"%04d;" % n * 500

    return parts()


@app.get("/endless")
async def endless():
    async def forever():
        try:
            while True:
                yield b"tick\n"
                await asyncio.sleep(0.02)
        finally:
            print("endless is over", flush=True)

    response = await make_response(forever())
    response.timeout = None
    return response


@app.get("/cookie")
async def cookie():
    response = await make_response(request.cookies["a"])
    response.set_cookie("b", "2")
    return response


@app.get("/redirect")
async def away():
    return redirect("/")


@app.get("/error")
async def error():
    raise RuntimeError("the error (wanted)")
