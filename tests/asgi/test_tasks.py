"""receive() and send() are legal from any task of the loop, and from several at once."""

import pytest
import wire


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def server(serve_module, request):
    return serve_module("tasks:app", "--loop", request.param)


def test_cancelled_receive_loses_no_message(server):
    start = len(server.output())
    with wire.Connection(server.port) as connection:
        connection.send(b"POST /parts HTTP/1.1\r\nHost: test\r\nContent-Length: 40\r\n\r\n")
        server.wait_output("waits for a part", start=start)
        for n in range(10):
            connection.send(b"%03d," % n)
        response = connection.response()
    assert response.status == 200
    assert b'"cancelled": 0' not in response.body
    assert "".join(f"{n:03d}," for n in range(10)).encode() in response.body


def test_receive_cancelled_as_its_message_arrives(server):
    with wire.Connection(server.port) as connection:
        connection.send(b"POST /race HTTP/1.1\r\nHost: test\r\nContent-Length: 200000\r\n\r\n")
        for _ in range(200):
            connection.send(b"x" * 1000)
        assert connection.response().body == b'{"length": 200000}'


def test_many_tasks_send(server):
    response = wire.once(server.port, "/senders")
    assert response.whole
    assert response.body == b"".join(b"%05d;" % n * 2000 for n in range(50))


def test_one_task_listens_while_another_sends(server):
    start = len(server.output())
    with wire.Connection(server.port) as connection:
        response = connection.get("/listener")
        assert response.whole and response.body == b"01234"
    server.wait_output("listener: http.disconnect", start=start)


def test_every_waiting_task_hears_of_the_disconnect(server):
    start = len(server.output())
    with wire.Connection(server.port) as connection:
        connection.request(target="/all_hear")
        server.wait_output("all wait", start=start)
    server.wait_output(r"all heard: \['http.disconnect'\]", start=start)
