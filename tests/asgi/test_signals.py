"""Signals belong to the front: they work while Python is stuck, and whatever the application did to its handlers."""

import os
import signal
import time

import pytest
import wire

STOP = [signal.SIGTERM, signal.SIGINT]
STUCK = ["gil_held", "loop_blocked"]


def refused(server):
    try:
        wire.Connection(server.port).close()
    except OSError:
        return True


@pytest.mark.parametrize("way", STUCK)
@pytest.mark.parametrize("number", STOP)
def test_stops_accepting_while_python_is_stuck(serve, way, number):
    server = serve("stuck:app")
    with wire.Connection(server.port) as connection:
        connection.request(target=f"/{way}?6")
        server.wait_output("stuck")
        began = time.monotonic()
        server.send_signal(number)
        wire.eventually(lambda: refused(server), "connections are refused")
        assert time.monotonic() - began < 5
        # What runs keeps its grace.
        assert connection.response().body == b"awake"
    assert server.wait() == 0
    assert "lifespan shutdown" in server.output()


@pytest.mark.parametrize("way", STUCK)
@pytest.mark.parametrize("number", STOP)
def test_second_signal_ends_at_once_while_python_is_stuck(serve, way, number):
    server = serve("stuck:app")
    with wire.Connection(server.port) as connection:
        connection.request(target=f"/{way}?60")
        server.wait_output("stuck")
        server.send_signal(number)
        wire.eventually(lambda: refused(server), "connections are refused")
        assert server.stop(number, seconds=10) == 128 + number


@pytest.mark.parametrize("number", STOP)
def test_second_signal_ends_at_once(serve, number):
    server = serve("stuck:app")
    with wire.Connection(server.port) as connection:
        connection.request(target="/waits?60")
        server.wait_output("waits")
        server.send_signal(number)
        wire.eventually(lambda: refused(server), "connections are refused")
        assert server.stop(number, seconds=10) == 128 + number
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("where", ["import", "startup", "loop"])
@pytest.mark.parametrize("number", STOP)
def test_application_with_its_own_handler(serve, where, number, loop):
    server = serve("stuck:app", "--loop", loop, env={"OWN": where})
    assert wire.once(server.port, "/hello").body == b"hello"
    assert server.stop(number) == 0
    assert f"own handler: {number.name}" in server.output()
    assert "lifespan shutdown" in server.output()


@pytest.mark.parametrize("where", ["import", "startup"])
def test_own_handler_does_not_stop_the_server_from_being_killed(serve, where):
    """The application took the signal away and is stuck: only the front can still take it."""
    server = serve("stuck:app", env={"OWN": where})
    with wire.Connection(server.port) as connection:
        connection.request(target="/gil_held?60")
        server.wait_output("stuck")
        server.send_signal(signal.SIGTERM)
        wire.eventually(lambda: refused(server), "connections are refused")
        assert server.stop(signal.SIGTERM, seconds=10) == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2])
def test_other_signals_reach_the_application(serve, number):
    server = serve("stuck:app", env={"OWN": "startup"})
    for _ in range(2):
        start = len(server.output())
        server.send_signal(number)
        server.wait_output(f"own handler: {number.name}", start=start)
    assert wire.once(server.port, "/hello").body == b"hello"
    assert server.stop() == 0


def test_ctrl_c_reaches_the_whole_process_group(serve):
    """A terminal sends SIGINT to children too; the server's own end stays orderly."""
    server = serve("forks:app")
    child = int(wire.once(server.port, "/child_stays").body)
    server.wait_output("child stays")
    os.killpg(server.pid, signal.SIGINT)
    assert server.wait() == 0
    wire.eventually(lambda: not os.path.exists(f"/proc/{child}"), "the child is over")


def test_stopped_before_anything_was_asked(serve):
    server = serve("hello:app")
    assert server.stop() == 0
    with pytest.raises(OSError):
        wire.Connection(server.port)


def test_stopped_while_the_application_is_imported(serve):
    server = serve("slow_import:app", wait=False)
    server.wait_output("importing")
    assert server.stop(seconds=10) in (0, 128 + signal.SIGTERM)
