"""What an application learns, and how soon, when its client leaves."""

import time

import pytest
import wire


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def server(serve_module, request):
    return serve_module("disconnect:app", "--loop", request.param)


def leave(connection, way):
    connection.reset() if way == "reset" else connection.close()


@pytest.mark.parametrize("way", ["close", "reset"])
def test_disconnect_again_and_again_and_send_raises(server, way):
    start = len(server.output())
    connection = wire.Connection(server.port)
    connection.request(target="/again")
    server.wait_output("again: waits", start=start)
    leave(connection, way)
    server.wait_output(r"again: \['http.disconnect'\]", start=start)
    # https://asgi.readthedocs.io/en/latest/specs/www.html#disconnected-client-send-exception
    # "If send() is called after the client has disconnected [...] raise a server-specific subclass of OSError."
    # After a plain close only a failing write can tell the server that the client is not half open any more.
    if way == "reset":
        server.wait_output(r"(again: OSError: True RuntimeError: False\s+){2}", start=start)


@pytest.mark.parametrize("way", ["close", "reset"])
def test_leaving_in_the_middle_of_an_upload(server, way):
    start = len(server.output())
    connection = wire.Connection(server.port)
    connection.send(b"POST /half_body HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n" + b"x" * 10)
    server.wait_output("half_body: http.request True", start=start)
    leave(connection, way)
    server.wait_output("half_body: http.disconnect", start=start)


def test_waiting_send_raises_oserror_at_once(server):
    """The situation of Kludex/uvicorn 2754: send() is suspended, since the client does not read, when it leaves."""
    start = len(server.output())
    connection = wire.Connection(server.port, receive_buffer=4096)
    connection.request(target="/waiting_send")
    server.wait_output("waiting_send: waits", start=start)
    began = time.monotonic()
    connection.reset()
    server.wait_output(r"waiting_send: OSError: True", start=start)
    assert time.monotonic() - began < 5
    server.wait_output(r"waiting_send: later OSError: True", start=start)


def test_sender_that_does_not_listen_ends(server):
    start = len(server.output())
    connection = wire.Connection(server.port)
    connection.request(target="/endless")
    server.wait_output("endless: started", start=start)
    connection.close()
    server.wait_output("endless: OSError", start=start)
    # A client that leaves is not an error of the application.
    assert wire.once(server.port, "/background").status == 200
    assert "Traceback" not in server.output()[start:]


def test_task_is_not_cancelled_unless_asked(server):
    start = len(server.output())
    connection = wire.Connection(server.port)
    connection.request(target="/sleeper")
    server.wait_output("sleeper: sleeps", start=start)
    connection.reset()
    server.wait_output("sleeper: slept", start=start)
    assert "sleeper: cancelled" not in server.output()[start:]


def test_half_closed_client_gets_its_answer(server):
    start = len(server.output())
    with wire.Connection(server.port) as connection:
        connection.request(target="/half_closed")
        connection.half_close()
        response = connection.response()
        assert response.whole and response.body == b"late" * 3
        assert connection.rest() == b""
    server.wait_output("half_closed: sent", start=start)


@pytest.mark.parametrize("flags", [[], ["--no-eager-tasks"]])
@pytest.mark.parametrize("way", ["close", "reset"])
def test_cancel_on_disconnect(serve, way, flags, loop):
    server = serve("disconnect:app", "--cancel-on-disconnect", "--loop", loop, *flags)
    connection = wire.Connection(server.port)
    connection.request(target="/sleeper")
    server.wait_output("sleeper: sleeps")
    leave(connection, way)
    server.wait_output("sleeper: cancelled")
    assert "Traceback" not in server.output()
    assert wire.once(server.port, "/background").body == b"answered"


def test_cancel_on_disconnect_spares_work_after_the_answer(serve):
    server = serve("disconnect:app", "--cancel-on-disconnect")
    wire.once(server.port, "/background")
    server.wait_output("background: done")
    assert "background: cancelled" not in server.output()


def test_idle_stream_ends_within_a_second(serve):
    server = serve("streaming:app")
    for _ in range(3):
        start = len(server.output())
        connection = wire.Connection(server.port)
        connection.request(target="/stream")
        connection.until(b"data: first\n\n")
        began = time.monotonic()
        connection.close()
        server.wait_output("stream ends", start=start)
        assert time.monotonic() - began < 1
    assert "Traceback" not in server.output()
