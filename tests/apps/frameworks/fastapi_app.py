import contextlib
from typing import Annotated

from fastapi import Body, Cookie, FastAPI, Form, Request, Response, UploadFile
from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse

from .starlette_app import forever, parts


@contextlib.asynccontextmanager
async def lifespan(app):
    print("startup", flush=True)
    yield
    print("shutdown", flush=True)


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def through(request, call_next):
    """BaseHTTPMiddleware runs the rest in a task of its own and wraps receive and send."""
    return await call_next(request)


@app.get("/", response_class=PlainTextResponse)
def hello():
    return "hello"


@app.get("/items/{id}")
async def item(id: int, q: str):
    return {"id": id, "q": q}


@app.post("/json")
async def echo(value: Annotated[dict, Body()]):
    return value


@app.post("/length")
async def length(request: Request):
    return {"length": len(await request.body())}


@app.post("/upload")
async def upload(file: UploadFile, field: Annotated[str, Form()]):
    return {"name": file.filename, "length": len(await file.read()), "field": field}


@app.get("/stream")
async def stream():
    return StreamingResponse(parts())


@app.get("/endless")
async def endless():
    return StreamingResponse(forever())


@app.get("/cookie", response_class=PlainTextResponse)
async def cookie(response: Response, a: Annotated[str, Cookie()]):
    response.set_cookie("b", "2")
    return a


@app.get("/redirect")
async def redirect():
    return RedirectResponse("/")


@app.get("/error")
async def error():
    raise RuntimeError("the error (wanted)")
