import asyncio
import json

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="tests",
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    LOGGING={
        "version": 1,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "loggers": {"django": {"handlers": ["console"]}},
    },
)


def hello(request):
    return HttpResponse("hello", content_type="text/plain")


async def item(request, id):
    return JsonResponse({"id": id, "q": request.GET["q"]})


def echo(request):
    return JsonResponse(json.loads(request.body))


async def length(request):
    return JsonResponse({"length": len(request.body)})


def upload(request):
    file = request.FILES["file"]
    return JsonResponse({"name": file.name, "length": len(file.read()), "field": request.POST["field"]})


async def parts():
    for n in range(50):
        yield b"%04d;" % n * 500


async def stream(request):
    return StreamingHttpResponse(parts())


async def forever():
    try:
        while True:
            yield b"tick\n"
            await asyncio.sleep(0.02)
    finally:
        print("endless is over", flush=True)


async def endless(request):
    return StreamingHttpResponse(forever())


def cookie(request):
    response = HttpResponse(request.COOKIES["a"])
    response.set_cookie("b", "2")
    return response


async def redirect(request):
    return HttpResponseRedirect("/")


async def error(request):
    raise RuntimeError("the error (wanted)")


urlpatterns = [
    path("", hello),
    path("items/<int:id>", item),
    path("json", echo),
    path("length", length),
    path("upload", upload),
    path("stream", stream),
    path("endless", endless),
    path("cookie", cookie),
    path("redirect", redirect),
    path("error", error),
]
django.setup()
app = get_asgi_application()
