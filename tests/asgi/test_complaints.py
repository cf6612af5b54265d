"""What people complain of about other servers, first set up and then shown to be different.

Stops that hang and requests lost at restarts are in test_stop.py, and a send() that waits for ever in
test_disconnect.py. WebSockets that are closed because the loop is busy come with WebSocket.
"""

import time

import pytest
import wire


def test_busy_worker_is_not_killed(serve):
    """Kludex/uvicorn 2506, 2711: a worker whose loop is busy for more than 5 s fails a health check and is killed."""
    server = serve("stuck:app")
    with wire.Connection(server.port) as busy:
        busy.request(target="/loop_blocked?7")
        server.wait_output("stuck")
        pid = server.pid
        with wire.Connection(server.port) as other:
            other.request(target="/hello")
            assert busy.response().body == b"awake"
            assert other.response().body == b"hello"
    assert server.running() and server.pid == pid
    assert server.stop() == 0


@pytest.mark.parametrize("app", ["streaming:app", "streaming:wrapped"], ids=["plain", "behind middleware"])
def test_work_ends_when_the_client_leaves(serve, app):
    """vectorize-io/hindsight 2131: behind BaseHTTPMiddleware the application does not learn of it and works on."""
    server = serve(app, "--cancel-on-disconnect")
    connection = wire.Connection(server.port)
    connection.request(target="/sleep")
    server.wait_output("sleep: begins")
    connection.close()
    server.wait_output("sleep: cancelled")
    assert wire.once(server.port, "/none").status == 404


def test_is_disconnected_works(serve):
    """Kludex/uvicorn 501."""
    server = serve("streaming:app")
    connection = wire.Connection(server.port)
    connection.request(target="/poll")
    server.wait_output("poll: begins")
    began = time.monotonic()
    connection.close()
    server.wait_output("poll: client left")
    assert time.monotonic() - began < 5


def test_connection_outlives_a_load_balancers_idle_timeout(serve):
    """kserve 5446, vllm 18472: 502, since 5 s of keep-alive are shorter than the balancer's."""
    server = serve("hello:app")
    with wire.Connection(server.port) as connection:
        assert connection.get().body == b"hello"
        assert connection.silent(7), "the connection was closed"
        assert connection.get().body == b"hello"


def test_idle_connections_do_not_count_as_requests(serve):
    """emmett-framework/granian 789: idle keep-alive connections use the limit up and starve others."""
    server = serve("hello:app", "--limit-concurrency", "2")
    idle = [wire.Connection(server.port) for _ in range(50)]
    for connection in idle:
        assert connection.get().body == b"hello"
    assert wire.once(server.port).status == 200
    for connection in idle:
        assert connection.get().body == b"hello"
        connection.close()


def test_limit_counts_requests(serve):
    server = serve("stopping:app", "--limit-concurrency", "1")
    with wire.Connection(server.port) as connection:
        connection.request(target="/slow?10")
        server.wait_output("slow: begins")
        assert wire.once(server.port, "/count").status == 503
        assert connection.response().body == b"slow"
    wire.eventually(lambda: wire.once(server.port, "/count").status == 200, "the limit is free again")


def test_keep_alive_ends(serve):
    server = serve("hello:app", "--timeout-keep-alive", "1")
    with wire.Connection(server.port) as connection:
        assert connection.get().body == b"hello"
        began = time.monotonic()
        assert connection.rest() == b""
        assert 0.5 < time.monotonic() - began < 10
