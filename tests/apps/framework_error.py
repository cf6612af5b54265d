"""An exception below several layers of a framework."""

import fastapi

app = fastapi.FastAPI()


@app.middleware("http")
async def through(request, call_next):
    return await call_next(request)


@app.get("/")
async def index():
    return 1 / 0
