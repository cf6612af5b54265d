"""The HTTP scope is complete, of the right types, and made of shared objects."""

import json
import socket

import pytest
import wire

TYPES = {
    "type": "str",
    "asgi": "dict",
    "http_version": "str",
    "method": "str",
    "scheme": "str",
    "path": "str",
    "raw_path": "bytes",
    "query_string": "bytes",
    "root_path": "str",
    "headers": "list",
    "client": "tuple",
    "server": "tuple",
    "state": "dict",
}


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("scope:app")


def scope_of(address, *arguments, **options):
    with wire.Connection(address) as connection:
        connection.request(*arguments, **options)
        answer = json.loads(connection.response().body)
        return {**answer["scope"], "types": answer["types"], "peer": connection.socket.getsockname()}


def test_keys_and_types(server):
    types = scope_of(server.port)["types"]
    assert {key: types.get(key) for key in TYPES} in (TYPES, {**TYPES, "client": "list", "server": "list"})


def test_versions(server):
    scope = scope_of(server.port)
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.3"}
    assert scope["http_version"] == "1.1"
    assert scope["scheme"] == "http"
    assert scope_of(server.port, version="1.0")["http_version"] == "1.0"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "BREW"])
def test_method(server, method):
    assert scope_of(server.port, method)["method"] == method


@pytest.mark.parametrize(
    "target, path, query",
    [
        ("/", "/", ""),
        ("/a/b%2Fc%20d+e", "/a/b/c d+e", ""),
        ("/h%C3%A9llo?q=%C3%A9&a=b%20c&d", "/héllo", "q=%C3%A9&a=b%20c&d"),
        ("/a?b?c", "/a", "b?c"),
        ("/a?", "/a", ""),
        ("//double//slash/", "//double//slash/", ""),
        ("/dots/../and/./so", "/dots/../and/./so", ""),
        ("/percent%25zz%", "/percent%zz%", ""),
        ("/%E2%98%83;p=1", "/☃;p=1", ""),
    ],
)
def test_path(server, target, path, query):
    scope = scope_of(server.port, target=target)
    assert scope["path"] == path
    assert scope["raw_path"] == target.partition("?")[0]
    assert scope["query_string"] == query


def test_path_that_is_no_utf8(server):
    scope = scope_of(server.port, target="/caf%E9")
    assert scope["raw_path"] == "/caf%E9"
    assert scope["path"].startswith("/caf")


def test_absolute_target(server):
    scope = scope_of(server.port, target="http://example.com/a%20b?c")
    assert (scope["path"], scope["query_string"]) == ("/a b", "c")


def test_asterisk_target(server):
    assert scope_of(server.port, "OPTIONS", "*")["path"] in ("*", "/*", "")


def test_headers_lower_cased_in_order(server):
    sent = [
        ("X-MiXed", "One"),
        ("X-Dup", "1"),
        ("Cookie", "a=1; b=2"),
        ("x-dup", "2"),
        ("ACCEPT", "*/*"),
        ("X-Latin", "caf\xe9"),
        ("X-Padded", " \t padded \t"),
        ("X_Under", "u"),
        ("X-Empty", ""),
        ("Cookie", "c=3"),
    ]
    headers = scope_of(server.port, headers=sent)["headers"]
    assert headers == [["host", "test"]] + [[name.lower(), value.strip(" \t")] for name, value in sent]


def test_client_and_server(server):
    scope = scope_of(server.port)
    assert scope["client"] == ["127.0.0.1", scope["peer"][1]]
    assert scope["server"] == ["127.0.0.1", server.port]


def test_client_and_server_over_ipv6(serve):
    server = serve("scope:app", host="::1")
    scope = scope_of(("::1", server.port))
    assert scope["client"] == ["::1", scope["peer"][1]]
    assert scope["server"] == ["::1", server.port]


def test_client_and_server_over_a_unix_socket(serve, tmp_path):
    server = serve("scope:app", uds=tmp_path / "socket")
    scope = scope_of(server.uds)
    # "server: [...] the address of a unix socket in the form of (path, None)"; client: "Optional; if missing or None".
    assert scope["server"] == [server.uds, None]
    assert scope.get("client") is None
    scope = scope_of(server.uds, target="/again")
    assert scope["path"] == "/again"


def test_client_and_server_over_an_inherited_socket(serve):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = serve("scope:app", "--fd", str(listener.fileno()), port=port, pass_fds=[listener.fileno()])
        assert scope_of(server.port)["server"] == ["127.0.0.1", port]


def test_state_is_a_shallow_copy(server):
    first, second = scope_of(server.port), scope_of(server.port)
    for scope in (first, second):
        assert scope["state"]["number"] == 2
    # The copy is shallow: its values are those of the lifespan.
    assert len(second["state"]["shared"]) == len(first["state"]["shared"]) + 1


def test_state_without_lifespan(serve):
    server = serve("scope:app", "--lifespan", "off")
    assert scope_of(server.port).get("state") in (None, {})


def test_root_path_is_contained_in_path(serve):
    server = serve("scope:app", "--root-path", "/sub")
    scope = scope_of(server.port, target="/a%20b?c")
    assert scope["root_path"] == "/sub"
    assert scope["path"] == "/sub/a b"
    # uvicorn prepends root_path here too; the specification says "unmodified from the bytes that were received".
    assert scope["raw_path"] in ("/a%20b", "/sub/a%20b")


def test_no_root_path(server):
    assert scope_of(server.port)["root_path"] == ""


def test_names_and_constants_are_shared(serve):
    server = serve("identity:app")
    headers = [("Accept", "*/*"), ("User-Agent", "tests"), ("X-Own", "1"), ("Cookie", "a=1")]
    with wire.Connection(server.port) as connection:
        connection.get(headers=headers)
        answer = json.loads(connection.get(headers=headers).body)
    assert all(answer.values()), answer
