"""APP: where the application is looked for, and what is said when it is not there."""

import pytest
import wire
from process import run

APPS = {
    "lookup:app": b"app",
    "lookup": b"app",
    "lookup:holder.inner": b"inner",
    "lookup:Instance": b"class of awaitables",
    "lookup:instance": b"callable instance",
    "lookup:partial": b"partial",
    "lookup:method": b"method",
    "lookup_application": b"application",
    "lookup_package": b"package",
    "lookup_package.module:app": b"module in a package",
    "lookup:double": b"asgi 2",
}


@pytest.mark.parametrize("app", APPS)
def test_found(serve, app):
    server = serve(app)
    assert wire.once(server.port).body == APPS[app]


def test_factory(serve):
    server = serve("lookup:factory", "--factory")
    assert wire.once(server.port).body == b"made by a factory"


def test_app_dir(serve, tmp_path):
    (tmp_path / "elsewhere.py").write_text(
        "from helper import body\n"
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    await send({'type': 'http.response.start', 'status': 200})\n"
        "    await send({'type': 'http.response.body', 'body': body})\n"
    )
    (tmp_path / "helper.py").write_text("body = b'elsewhere'\n")
    server = serve("elsewhere:app", "--app-dir", str(tmp_path))
    assert wire.once(server.port).body == b"elsewhere"


def test_current_directory_is_searched(serve, tmp_path):
    (tmp_path / "here.py").write_text("app = None\n")
    result = run("here:app", "--port", "0", cwd=tmp_path)
    assert result.returncode == 3
    assert "here:app" in result.stderr and "None" in result.stderr


def test_sys_argv_and_name(serve):
    server = serve("lookup:arguments")
    body = wire.once(server.port).body.decode()
    assert "goasgi" in body.split()[0]


def failure(app, *flags, status=3, **options):
    """What is said on standard error when the application cannot be served."""
    result = run(app, "--port", "0", *flags, **options)
    assert result.returncode == status, (result.returncode, result.stderr)
    assert "BUG" not in result.stderr
    return result.stderr


def test_module_not_found():
    text = failure("helo:app")
    assert 'cannot load "helo:app"' in text or "helo" in text
    assert "hello" in text, "the close name"
    assert "Traceback" not in text


def test_module_not_found_tells_where_it_was_looked_for(tmp_path):
    text = failure("nowhere:app", cwd=tmp_path)
    assert str(tmp_path) in text
    assert "Traceback" not in text


def test_import_inside_of_the_application_fails():
    """Another module is missing: then the traceback is wanted, without our frames."""
    text = failure("broken_import:app")
    assert "No module named 'not_installed'" in text
    assert "broken_import.py" in text
    assert "goasgi/loader.py" not in text and "importlib" not in text


def test_attribute_not_found_tells_which_there_are():
    text = failure("lookup:ap")
    assert "lookup" in text and '"ap"' in text
    assert "app" in text and "instance" in text
    assert "Traceback" not in text


def test_inner_attribute_not_found():
    text = failure("lookup:holder.outer")
    assert "outer" in text and "inner" in text


def test_no_attribute_of_the_usual_names():
    text = failure("respond")
    assert "app" in text and "application" in text


def test_not_callable():
    text = failure("lookup:number")
    assert "lookup:number" in text and "int" in text
    assert "Traceback" not in text


def test_wsgi_application():
    text = failure("wsgi_bridge:site")
    assert "WSGI" in text
    assert "a2wsgi" in text or "WsgiToAsgi" in text
    assert "Traceback" not in text


def test_plain_wsgi_function():
    assert "WSGI" in failure("lookup:wsgi")


def test_factory_is_recognised_without_its_flag(serve):
    server = serve("lookup:factory")
    assert wire.once(server.port).body == b"made by a factory"
    assert "--factory" in server.output()


def test_factory_that_raises():
    text = failure("lookup:raising_factory", "--factory")
    assert "no database (wanted)" in text
    assert "in raising_factory" in text
    assert "goasgi/loader.py" not in text


def test_factory_that_returns_nothing():
    text = failure("lookup:empty_factory", "--factory")
    assert "None" in text


def test_syntax_error_shows_pythons_caret(tmp_path):
    (tmp_path / "syntax_error.py").write_text("def broken(:\n    pass\n")
    text = failure("syntax_error:app", cwd=tmp_path)
    assert "SyntaxError" in text
    assert "syntax_error.py" in text and "^" in text
    assert "def broken(:" in text
    assert "loader.py" not in text and "importlib" not in text


def test_import_that_raises():
    text = failure("raises_at_import:app")
    assert "configuration is missing (wanted)" in text
    assert "raises_at_import.py" in text
    assert "loader.py" not in text and "importlib" not in text


def test_import_that_exits():
    result = run("exits_at_import:app", "--port", "0")
    assert result.returncode == 9
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("app", ["hello.py", "hello.py:app", "./hello.py:app", "sub/hello:app"])
def test_path_instead_of_a_module(app):
    text = failure(app, status=2)
    assert "hello:app" in text


@pytest.mark.parametrize("app", [":app", "hello:", "hello:app:more", ""])
def test_app_of_a_wrong_form(app):
    failure(app, status=2)
