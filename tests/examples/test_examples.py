"""The examples, each served by the real command and used by a real HTTP client."""

import hashlib
import re
import signal
import subprocess
import sys

import httpx
import process
import pytest

EXAMPLES = process.TESTS.parent / "examples"


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    before = {path for path in EXAMPLES.rglob("*") if "__pycache__" not in path.parts}
    yield
    assert {path for path in EXAMPLES.rglob("*") if "__pycache__" not in path.parts} == before


@pytest.mark.parametrize("name", ["hello", "fastapi", "django"])
def test_readme_is_short_and_has_the_command(name):
    text = (EXAMPLES / name / "README.md").read_text()
    assert len(text.strip().splitlines()) <= 10
    assert "    goasgi " in text


def test_hello(serve):
    server = serve("main:app", cwd=EXAMPLES / "hello")
    with httpx.Client(base_url=server.url, timeout=20) as client:
        assert client.get("/").text == "Hello, world!\n"
        assert client.head("/").headers["content-length"] == "14"
        body = b"0123456789" * 50_000
        assert client.post("/echo", content=body).content == body
        assert client.post("/echo", content=(part for part in [b"one", b"two"])).content == b"onetwo"
        assert "started" in client.get("/scope").text
        assert client.get("/nothing").status_code == 404
        with client.stream("GET", "/stream") as response:
            lines = response.iter_lines()
            assert [next(lines) for _ in range(3)] == ["data: 0", "", "data: 1"]
    server.wait_output("the client left after")
    assert server.stop() == 0


@pytest.fixture
def shop(serve, tmp_path):
    return serve("main:app", cwd=EXAMPLES / "fastapi", env={"SHOP_DATABASE": str(tmp_path / "shop.sqlite3")})


@pytest.fixture
def shop_client(shop):
    with httpx.Client(base_url=shop.url, timeout=20) as client:
        yield client


def test_fastapi_items(shop_client):
    tea = {"name": "tea", "price": 4.5}
    response = shop_client.post("/items", json=tea)
    assert response.status_code == 201 and response.json() == {"id": 1, **tea}
    assert shop_client.get("/items/1").json() == {"id": 1, **tea}
    assert shop_client.get("/items").json() == [{"id": 1, **tea}]
    assert shop_client.post("/items", json=tea).status_code == 409
    assert shop_client.delete("/items/1").status_code == 204
    assert shop_client.get("/items/1").status_code == 404
    assert shop_client.delete("/items/1").status_code == 404


def test_fastapi_validation(shop_client):
    response = shop_client.post("/items", json={"name": "", "price": -1})
    assert response.status_code == 422
    assert {tuple(error["loc"]) for error in response.json()["detail"]} == {("body", "name"), ("body", "price")}
    assert shop_client.post("/items", content=b"no json").status_code == 422
    assert shop_client.get("/items/one").status_code == 422


def test_fastapi_background_task(shop_client):
    shop_client.post("/items", json={"name": "tea", "price": 1})
    notes = shop_client.get("/notes").json()
    while not notes:
        notes = shop_client.get("/notes").json()
    assert notes == ["created tea"]


def test_fastapi_stream(shop_client):
    for n in range(250):
        assert shop_client.post("/items", json={"name": f"item {n}", "price": n + 1}).status_code == 201
    with shop_client.stream("GET", "/export") as response:
        assert response.headers["content-type"].startswith("text/csv")
        lines = list(response.iter_lines())
    assert len(lines) == 251 and lines[-1] == "250,item 249,250.0"


def test_fastapi_upload(shop_client):
    content = bytes(range(256)) * 20_000
    answer = shop_client.post("/upload", files={"file": ("big.bin", content)}).json()
    assert answer == {"name": "big.bin", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_fastapi_lifespan_state(shop, shop_client):
    assert [shop_client.get("/").json()["requests"] for _ in range(3)] == [1, 2, 3]
    assert shop.stop() == 0
    assert "the shop is closed" in shop.output()


def test_fastapi_ticks_end_with_the_client_and_with_the_server(shop, shop_client):
    with shop_client.stream("GET", "/ticks") as response:
        assert next(response.iter_lines()) == "data: 0"
    shop.wait_output("a stream of ticks is over")
    start = len(shop.output())
    with shop_client.stream("GET", "/ticks") as response:
        assert next(response.iter_lines()) == "data: 0"
        shop.send_signal(signal.SIGINT)
        shop.wait_output("a stream of ticks is over", start=start)
    assert shop.wait() == 0


def test_fastapi_error(shop, shop_client):
    assert shop_client.get("/error").status_code == 500
    shop.wait_output("this error is wanted")
    assert shop_client.get("/").status_code == 200
    assert shop_client.get("/docs").status_code == 200


@pytest.fixture
def guestbook(serve, tmp_path):
    env = {"DJANGO_DATABASE": str(tmp_path / "guestbook.sqlite3")}
    manage(env, "migrate", "--verbosity", "0")
    manage(
        {**env, "DJANGO_SUPERUSER_PASSWORD": "secret"},
        *"createsuperuser --noinput --username admin --email admin@example.com".split(),
    )
    return serve("project.asgi", cwd=EXAMPLES / "django", env=env)


def manage(env, *arguments):
    subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=EXAMPLES / "django", env=process.environment(env), check=True
    )


@pytest.fixture
def browser(guestbook):
    with httpx.Client(base_url=guestbook.url, timeout=20, follow_redirects=True) as client:
        yield client


def submit(browser, url, **fields):
    """Fills the form of a page in and sends it, as a person would."""
    page = browser.get(url)
    assert page.status_code == 200, page
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    return browser.post(page.url, data={"csrfmiddlewaretoken": token, **fields}, headers={"Referer": str(page.url)})


def test_django_sync_and_async_views(guestbook, browser):
    assert "Nothing is written yet" in browser.get("/").text
    page = submit(browser, "/", name="Ada", text="Hello <everybody>")
    assert page.status_code == 200 and "Hello &lt;everybody&gt;" in page.text
    assert browser.get("/entries.json").json() == {"entries": [{"name": "Ada", "text": "Hello <everybody>"}]}
    assert submit(browser, "/", name="", text="").status_code == 200
    assert browser.post("/", data={"name": "x", "text": "y"}).status_code == 403
    assert browser.get("/nothing").status_code == 404
    assert guestbook.stop() == 0


def test_django_admin(guestbook, browser):
    page = submit(browser, "/admin/login/?next=/admin/", username="admin", password="wrong")
    assert "Please enter the correct username" in page.text
    page = submit(browser, "/admin/login/?next=/admin/", username="admin", password="secret")
    assert page.url.path == "/admin/" and "Site administration" in page.text
    page = submit(browser, "/admin/guestbook/entry/add/", name="Grace", text="from the admin")
    assert page.url.path == "/admin/guestbook/entry/" and "was added successfully" in page.text
    assert browser.get("/entries.json").json()["entries"][0]["name"] == "Grace"


def test_django_static_files_of_the_admin(guestbook, browser):
    page = browser.get("/admin/login/")
    sheet = re.search(r'href="(/static/admin/css/base[^"]*\.css)"', page.text)[1]
    response = browser.get(sheet)
    assert response.status_code == 200 and response.headers["content-type"].startswith("text/css")
    assert len(response.content) > 1000
    assert browser.get("/static/none.css").status_code == 404
