"""Finding the application, and the messages when there is none."""

import asyncio
import sys

import pytest
from goasgi.loader import LoadError, load, prepare


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """A directory to import from; its modules are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


class Warnings:
    def __init__(self):
        self.texts = []

    def warning(self, text):
        self.texts.append(text)


def loads(directory, name, **options):
    return asyncio.run(load(name, app_dir=str(directory), **options))


def message(directory, name, **options):
    with pytest.raises(LoadError) as caught:
        loads(directory, name, **options)
    return str(caught.value)


APP = "async def {}(scope, receive, send): pass\n"


@pytest.mark.parametrize("text, found", [("app", "app"), ("application", "application"), ("app application", "app")])
def test_default_attributes(directory, text, found):
    (directory / "site_one.py").write_text("".join(APP.format(name) for name in text.split()))
    assert loads(directory, "site_one").__name__ == found


def test_attribute_of_an_attribute(directory):
    (directory / "shop.py").write_text(
        "class inner:\n    class deep:\n        @staticmethod\n        " + APP.format("api")
    )
    assert loads(directory, "shop:inner.deep.api").__name__ == "api"


def test_module_of_a_package(directory):
    (directory / "shop").mkdir()
    (directory / "shop" / "__init__.py").touch()
    (directory / "shop" / "asgi.py").write_text(APP.format("app"))
    assert loads(directory, "shop.asgi:app").__module__ == "shop.asgi"


def test_the_current_directory_is_searched_first(directory, monkeypatch):
    (directory / "json").mkdir()
    (directory / "mine.py").write_text(APP.format("app"))
    monkeypatch.chdir(directory)
    assert asyncio.run(load("mine:app")).__module__ == "mine"
    assert sys.path[0] == str(directory)


def test_an_application_may_use_the_running_loop_while_it_is_imported(directory):
    (directory / "early.py").write_text("import asyncio\nloop = asyncio.get_running_loop()\n" + APP.format("app"))
    assert loads(directory, "early:app")


def test_module_not_found(directory):
    (directory / "shop.py").touch()
    text = message(directory, "shpo:app")
    assert text.startswith('goasgi: cannot load "shpo:app": module shpo not found (there is shop); looked in\n')
    assert f"  {directory}\n" in text
    assert "--app-dir" in text


def test_submodule_not_found(directory):
    (directory / "shop").mkdir()
    (directory / "shop" / "__init__.py").touch()
    (directory / "shop" / "asgi.py").touch()
    assert "module shop.asgj not found (package shop has shop.asgi)" in message(directory, "shop.asgj:app")


def test_module_that_is_no_package(directory):
    (directory / "shop.py").touch()
    text = message(directory, "shop.asgi:app")
    assert f"shop is no package ({directory}/shop.py)" in text


def test_a_module_that_the_application_misses_is_its_own_error(directory):
    (directory / "shop.py").write_text("import stock_that_is_missing\n")
    text = message(directory, "shop:app")
    assert "importing shop failed\nTraceback" in text
    assert f'File "{directory}/shop.py", line 1' in text
    assert text.endswith("ModuleNotFoundError: No module named 'stock_that_is_missing'")
    assert "loader.py" not in text and "importlib" not in text


def test_a_module_that_misses_one_of_its_own_name(directory):
    (directory / "shop").mkdir()
    (directory / "shop" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'shop'\", name='shop')"
    )
    assert "Traceback" in message(directory, "shop:app")


def test_attribute_not_found(directory):
    (directory / "shop.py").write_text(
        "from asyncio import run\nfrom typing import Any\n_hidden = print\nlimit = 3\n" + APP.format("api")
    )
    assert message(directory, "shop:app") == (
        'goasgi: cannot load "shop:app": module shop has no attribute "app" (it has: api)'
    )
    assert message(directory, "shop") == (
        'goasgi: cannot load "shop": module shop has neither "app" nor "application" (it has: api)'
    )


def test_the_closest_attribute_is_named_first(directory):
    (directory / "shop.py").write_text(APP.format("first") + APP.format("application") + APP.format("last"))
    assert '"aplication" (it has: application, first, last)' in message(directory, "shop:aplication")


def test_attribute_not_found_further_down(directory):
    (directory / "shop.py").write_text("class site: pass\n")
    assert 'site (the class site) has no attribute "app"' in message(directory, "shop:site.app")


def test_nothing_to_call(directory):
    (directory / "shop.py").write_text("limit = 3\n")
    assert f"nothing in {directory}/shop.py can be called" in message(directory, "shop:app")


@pytest.mark.parametrize(
    "value, kind",
    [("3", "an int"), ("None", "None"), ("'shop:app'", "a str"), ("{}", "a dict")],
)
def test_not_callable(directory, value, kind):
    (directory / "shop.py").write_text(f"app = {value}\n")
    assert message(directory, "shop:app") == f'goasgi: cannot call "shop:app": it is {kind}, not an ASGI application'


def test_a_module_instead_of_its_application(directory):
    (directory / "shop.py").write_text("import json as app\n")
    assert "expected an object in it, as in json:app" in message(directory, "shop:app")


WSGI = [
    "def app(environ, start_response): pass",
    "class Flask:\n    def __call__(self, environ, start_response): pass\napp = Flask()",
    "class Flask:\n    def wsgi(self, environ, start_response): pass\napp = Flask().wsgi",
]


@pytest.mark.parametrize("source", WSGI)
def test_wsgi_application(directory, source):
    (directory / "shop.py").write_text(source)
    text = message(directory, "shop:app")
    assert '"shop:app" is a WSGI application' in text
    assert "asgiref" in text and "a2wsgi.WSGIMiddleware" in text


def test_a_class_instead_of_an_instance(directory):
    (directory / "shop.py").write_text(
        "class App:\n    def __init__(self, debug=False, routes=None, middleware=None): pass\n"
        "    async def __call__(self, scope, receive, send): pass\n"
    )
    assert (
        message(directory, "shop:App") == 'goasgi: cannot call "shop:App": it is the class App, not an instance of it'
    )


def test_other_arguments(directory):
    (directory / "shop.py").write_text("async def app(a, b, c, d): pass\n")
    assert "takes other arguments than the three of ASGI" in message(directory, "shop:app")


def test_syntax_error(directory):
    (directory / "shop.py").write_text("async def app(scope, receive, send):\n    x = = 3\n")
    assert message(directory, "shop:app") == (
        'goasgi: cannot load "shop:app": importing shop failed\n'
        f'  File "{directory}/shop.py", line 2\n'
        "    x = = 3\n"
        "        ^\n"
        "SyntaxError: invalid syntax"
    )


def test_syntax_error_in_a_module_that_is_imported(directory):
    (directory / "stock.py").write_text("x = (\n")
    (directory / "shop.py").write_text("import stock\n")
    text = message(directory, "shop:app")
    assert f'File "{directory}/shop.py", line 1' in text
    assert f'File "{directory}/stock.py", line 1' in text
    assert "loader.py" not in text


def test_exception_while_importing(directory):
    (directory / "shop.py").write_text("def connect():\n    raise OSError('no database')\nconnect()\n")
    text = message(directory, "shop:app")
    assert text.startswith(
        'goasgi: cannot load "shop:app": importing shop failed\nTraceback (most recent call last):\n'
    )
    assert "in <module>" in text and "in connect" in text
    assert text.endswith("OSError: no database")
    assert "loader.py" not in text


def test_factory(directory):
    (directory / "shop.py").write_text(
        APP.format("api") + "def make(debug=False): return api\nasync def make_late(): return api\n"
    )
    assert loads(directory, "shop:make", factory=True).__name__ == "api"
    assert loads(directory, "shop:make_late", factory=True).__name__ == "api"


def test_factory_without_the_flag(directory):
    (directory / "shop.py").write_text(APP.format("api") + "def make(debug=False): return api\n")
    log = Warnings()
    assert loads(directory, "shop:make", log=log).__name__ == "api"
    assert log.texts == ['"shop:make" takes no arguments, so it is called as a factory; --factory says so explicitly.']


def test_factory_that_raises(directory):
    (directory / "shop.py").write_text("def make():\n    raise KeyError('DATABASE_URL')\n")
    text = message(directory, "shop:make", factory=True)
    assert text.startswith('goasgi: the factory "shop:make" raised\nTraceback')
    assert text.endswith("KeyError: 'DATABASE_URL'")
    assert "loader.py" not in text


def test_factory_that_returns_something_else(directory):
    (directory / "shop.py").write_text("def make(): pass\n")
    assert message(directory, "shop:make", factory=True) == (
        'goasgi: cannot call what "shop:make" returned: it is None, not an ASGI application'
    )


def test_app_dir_that_is_not_there(directory):
    assert "--app-dir" in message(directory / "nowhere", "shop:app")


@pytest.mark.parametrize("name", ["shop.py", "./shop.py:app", "web/shop.py:app"])
def test_a_file_instead_of_a_module(directory, name):
    text = message(directory, name)
    assert "expected a module, not a file" in text
    assert ('"web.shop:app"' if "web" in name else '"shop:app"') in text


async def asgi3(scope, receive, send):
    await send("called")


class Instance:
    """Awaited instances of a class: Starlette's HTTPEndpoint is one."""

    def __init__(self, scope, receive, send):
        self.send = send

    def __await__(self):
        return self.send("called").__await__()


def asgi2(scope):
    assert scope["asgi"]["version"] == "2.0"

    async def call(receive, send):
        await send("called")

    return call


class ASGI2:
    def __init__(self, scope):
        pass

    async def __call__(self, receive, send):
        await send("called")


class Callable:
    async def __call__(self, scope, receive, send):
        await send("called")


@pytest.mark.parametrize(
    "app",
    [asgi3, Instance, asgi2, ASGI2, Callable(), Callable().__call__, lambda *args: asgi3(*args)],
    ids=["function", "class", "double function", "double class", "object", "method", "lambda"],
)
def test_every_shape_of_application(app):
    sent = []

    async def send(event):
        sent.append(event)

    async def call():
        await (await prepare(app, "app"))({"asgi": {"version": "3.0"}}, None, send)

    asyncio.run(call())
    assert sent == ["called"]
