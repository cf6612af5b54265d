"""receive() and send() are lazy, genuine coroutines in every form of use."""

import ast

import httpx
import process
import pytest
import wire

SOURCE = ast.parse((process.APPS / "coroutines.py").read_text())
CASES = [
    node.name
    for node in SOURCE.body
    if isinstance(node, ast.AsyncFunctionDef)
    and any(isinstance(decorator, ast.Name) and decorator.id == "case" for decorator in node.decorator_list)
]


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def server(serve_module, request):
    return serve_module("coroutines:app", "--loop", request.param)


@pytest.mark.parametrize("case", CASES)
def test_used_as_a_coroutine(server, case):
    start = len(server.output())
    with wire.Connection(server.port) as connection:
        assert connection.post(f"/{case}", b"body").body == b"fine"
        # The connection is still in step.
        assert connection.post("/", b"").status == 200
    assert "Traceback" not in server.output()[start:]
    assert "Warning" not in server.output()[start:]


def test_a2wsgi_uses_them_from_its_threads(serve, loop):
    server = serve("wsgi_bridge:app", "--lifespan", "off", "--loop", loop)
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/").text == "hello from WSGI"
        assert client.post("/length", content=b"x" * 500_000).json() == {"length": 500_000}
        assert client.get("/stream").content == b"".join(b"%05d;" % n * 1000 for n in range(50))
        assert client.get("/error").status_code == 500
        assert client.get("/").text == "hello from WSGI"
