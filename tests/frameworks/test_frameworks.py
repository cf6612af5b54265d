"""The same small application in every framework: they stand on different corners of the specification."""

import threading
import time

import httpx
import pytest

FRAMEWORKS = ["starlette", "fastapi", "django", "litestar", "quart", "sanic", "falcon", "blacksheep", "flask"]
# WSGI below a2wsgi: no asynchronous stream to leave, no lifespan.
SYNCHRONOUS = {"flask"}
BODY = bytes(range(256)) * 2000


@pytest.fixture(scope="module", params=FRAMEWORKS)
def framework(request):
    return request.param


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def server(serve_module, framework, request):
    return serve_module(f"frameworks.{framework}_app:app", "--loop", request.param)


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


def test_hello(client):
    for _ in range(5):
        response = client.get("/")
        assert response.status_code == 200 and response.text == "hello"


def test_path_and_query(client):
    assert client.get("/items/42", params={"q": "é &"}).json() == {"id": 42, "q": "é &"}


def test_json(client):
    value = {"text": "häßlich ☃", "list": [1, 2.5, None, True]}
    assert client.post("/json", json=value).json() == value


def test_body(client):
    for size in (0, 1, 65_536, len(BODY)):
        response = client.post("/length", content=BODY[:size])
        assert response.json() == {"length": size}


def test_chunked_body(client, framework):
    if framework in SYNCHRONOUS:  # Werkzeug reads no body without Content-Length
        return
    parts = [BODY[n : n + 10_000] for n in range(0, len(BODY), 10_000)]
    assert client.post("/length", content=iter(parts)).json() == {"length": len(BODY)}


def test_upload(client):
    response = client.post("/upload", files={"file": ("name.bin", BODY)}, data={"field": "value"})
    assert response.json() == {"name": "name.bin", "length": len(BODY), "field": "value"}


def test_stream(client):
    with client.stream("GET", "/stream") as response:
        assert b"".join(response.iter_bytes()) == b"".join(b"%04d;" % n * 500 for n in range(50))


def test_cookies_and_headers(client):
    response = client.get("/cookie", headers={"Cookie": "a=1"})
    assert response.text == "1"
    assert response.cookies["b"] == "2"


def test_redirect_and_not_found(client):
    response = client.get("/redirect")
    assert response.status_code in (301, 302, 307) and response.headers["location"].endswith("/")
    assert client.get("/nothing").status_code == 404


def test_error(server, client):
    start = len(server.output())
    assert client.get("/error").status_code == 500
    server.wait_output(r"the error \(wanted\)", start=start)
    assert client.get("/").text == "hello"


def test_head(client):
    response = client.head("/")
    assert response.status_code in (200, 404, 405) and response.content == b""
    assert client.get("/").text == "hello"


def test_concurrent_requests(server):
    def many(failures):
        try:
            with httpx.Client(base_url=server.url, timeout=30) as client:
                for _ in range(20):
                    assert client.get("/").text == "hello"
                    assert client.post("/length", content=BODY[:5000]).json() == {"length": 5000}
        except Exception as error:
            failures.append(error)

    failures = []
    threads = [threading.Thread(target=many, args=(failures,)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_client_leaves_a_stream(server, client, framework):
    if framework in SYNCHRONOUS:
        return
    start = len(server.output())
    with client.stream("GET", "/endless") as response:
        assert next(response.iter_bytes())
    began = time.monotonic()
    server.wait_output("endless is over", start=start)
    print(f"{framework}: {time.monotonic() - began:.2f} s")
    assert client.get("/").text == "hello"


def test_startup_and_shutdown(serve, framework):
    server = serve(f"frameworks.{framework}_app:app")
    with httpx.Client(base_url=server.url, timeout=30) as client:
        assert client.get("/").text == "hello"
    assert server.stop() == 0
    assert "Traceback" not in server.output()
    if framework in ("starlette", "fastapi", "litestar", "quart", "sanic", "falcon", "blacksheep"):
        assert "startup" in server.output() and "shutdown" in server.output()
