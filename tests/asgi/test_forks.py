"""Processes that the application starts: they work, and leave the server's sockets and signals alone."""

import json
import os
import signal

import pytest
import wire


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def server(serve_module, request):
    return serve_module("forks:app", "--loop", request.param)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("path", ["pool", "process"])
def test_multiprocessing(server, path, method):
    start = len(server.output())
    with wire.Connection(server.port, timeout=60) as connection:
        for _ in range(2):
            assert connection.get(f"/{path}?{method}").body == b"fine", server.output()[start:]
        assert connection.get("/hello").body == b"hello"


def test_subprocess(server):
    start = len(server.output())
    assert wire.once(server.port, "/command").body == b"fine", server.output()[start:]


def test_forked_child_has_default_signal_handlers(server):
    answer = json.loads(wire.once(server.port, "/child_signals").body)
    assert answer["python"] == str(
        {"SIGINT": "default_int_handler", "SIGTERM": "SIG_DFL", "SIGHUP": "SIG_DFL", "SIGUSR2": "SIG_DFL"}
    )
    assert answer["kernel"] == "[]"


def test_forked_child_has_no_signal_blocked_or_ignored(server):
    assert wire.once(server.port, "/child_blocked").body == b"[0, []]"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_forked_child_can_be_ended(server, number):
    start = len(server.output())
    with wire.Connection(server.port) as connection:
        child = int(connection.get("/child_stays").body)
        server.wait_output("child stays", start=start)
        os.kill(child, number)
        exitcode = int(connection.get(f"/child_over?{child}").body)
        assert exitcode in (-number, 1)
        assert connection.get("/hello").body == b"hello"
    assert server.running()


def test_forked_child_that_calls_into_the_server_gets_a_clear_error(server):
    with wire.Connection(server.port) as connection:
        response = connection.get("/child_calls")
        assert response.status == 200, response
        text = response.body.decode()
        assert text.count("RuntimeError: ") == 2, text
        assert "fork" in text or "process" in text, text
        assert connection.get("/hello").body == b"hello"


@pytest.mark.parametrize("way", ["sys.exit", "os._exit"])
def test_exit_of_a_child_leaves_the_sockets_alone(serve, loop, way):
    server = serve("forks:app", "--loop", loop)
    with wire.Connection(server.port) as idle:
        assert idle.get("/hello").body == b"hello"
        for _ in range(3):
            with wire.Connection(server.port) as connection:
                try:
                    connection.get(f"/child_exits?{way}")
                except wire.Closed:
                    assert way == "sys.exit"
        assert idle.get("/hello").body == b"hello"
        assert wire.once(server.port, "/hello").body == b"hello"
    assert server.stop() == 0


def test_exit_of_a_child_leaves_the_unix_socket_alone(serve, tmp_path):
    server = serve("forks:app", uds=tmp_path / "socket")
    wire.once(server.uds, "/child_exits?os._exit")
    wire.once(server.uds, "/process?fork")
    assert wire.once(server.uds, "/hello").body == b"hello"
    assert server.stop() == 0
    assert not (tmp_path / "socket").exists()


def test_client_sees_the_end_of_its_connection_while_a_child_lives(server):
    """A forked child that held the connection's descriptor would keep it open."""
    with wire.Connection(server.port) as connection:
        child = int(connection.get("/child_stays", [("Connection", "close")]).body)
        # A child made by fork holds copies of descriptors; shutdown ends the connection all the same.
        assert connection.rest() == b""
    os.kill(child, signal.SIGKILL)
    assert wire.once(server.port, f"/child_over?{child}").body == b"-9"


def test_child_does_not_keep_the_port(serve):
    server = serve("forks:app")
    child = int(wire.once(server.port, "/child_stays").body)
    assert server.running()
    server.send_signal(signal.SIGTERM)
    os.kill(child, signal.SIGKILL)
    assert server.wait() == 0
    again = serve("forks:app", port=server.port)
    assert wire.once(again.port, "/hello").body == b"hello"
