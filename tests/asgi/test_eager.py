"""Requests run in eager tasks on CPython 3.12 and later; applications must not see a difference."""

import signal
import sys

import pytest
import wire

CASES = [
    "current_task",
    "anyio_task_group",
    "anyio_task_group_at_once",
    "anyio_cancel_scopes",
    "anyio_to_thread",
    "timeout",
    "timeout_at_once",
    "task_group",
]
EAGER = [(), ("--no-eager-tasks",)]


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def loop(request):
    return request.param


@pytest.fixture(scope="module", params=EAGER, ids=["eager", "scheduled"])
def flags(request):
    return request.param


@pytest.fixture(scope="module", params=["", "1"], ids=["plain", "debug"])
def server(serve_module, request, loop, flags):
    return serve_module("eager:app", "--loop", loop, *flags, env={"PYTHONASYNCIODEBUG": request.param})


@pytest.mark.parametrize("case", CASES)
def test_task_features(server, case):
    start = len(server.output())
    with wire.Connection(server.port) as connection:
        for _ in range(3):
            assert connection.get(f"/{case}").body == b"fine", server.output()[start:]
    assert "Traceback" not in server.output()[start:]


def test_context_variables_of_concurrent_requests(server):
    connections = [wire.Connection(server.port) for _ in range(50)]
    for n, connection in enumerate(connections):
        connection.request(target=f"/context?{n}")
    for connection in connections:
        assert connection.response().body == b"fine"
        assert connection.get("/context?again").body == b"fine"
        connection.close()


def test_context_variables_of_requests_that_never_wait(server):
    with wire.Connection(server.port) as connection:
        for _ in range(20):
            assert connection.get("/context_of_a_simple_one").body == b"fine"


def test_eagerness(serve, flags):
    server = serve("eager_order:app", "--loop", "asyncio", *flags)
    eager = not flags and sys.version_info >= (3, 12)
    with wire.Connection(server.port) as connection:
        connection.get("/watch")
        for _ in range(3):
            assert connection.get("/").body == (b"eager" if eager else b"scheduled")


@pytest.mark.parametrize("path", ["exits", "exits_later"])
@pytest.mark.parametrize("exception, status", [("SystemExit", 5), ("KeyboardInterrupt", 128 + signal.SIGINT)])
def test_exit_out_of_a_request_ends_the_server_cleanly(serve, loop, flags, path, exception, status):
    server = serve("eager:app", "--loop", loop, *flags)
    # Requests that run at the same time are not torn down with it.
    with wire.Connection(server.port) as other:
        other.request(target="/context?other")
        with wire.Connection(server.port) as connection:
            connection.request(target=f"/{path}?{exception}")
            try:
                assert connection.response().status == 500
            except wire.Closed:
                pass
        assert server.wait() == status
        assert other.response().body == b"fine"
    assert "lifespan shutdown" in server.output()
    assert "BUG" not in server.output()


def test_debug_mode_finds_nothing_slow_or_not_awaited(serve, loop, flags):
    server = serve("eager:app", "--loop", loop, *flags, env={"PYTHONASYNCIODEBUG": "1", "PYTHONWARNINGS": "always"})
    with wire.Connection(server.port) as connection:
        for case in CASES:
            assert connection.get(f"/{case}").body == b"fine"
    assert server.stop() == 0
    for word in ("never awaited", "never retrieved", "ResourceWarning", "Traceback", "non-thread-safe"):
        assert word not in server.output()
