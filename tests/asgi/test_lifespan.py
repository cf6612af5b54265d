"""Lifespan: auto, on, off; its state; startup failure; applications without it or that raise late."""

import json
import signal

import pytest
import wire


def state_of(server):
    return json.loads(wire.once(server.port).body)


def test_scope_and_events(serve):
    server = serve("lifespan:app")
    # https://asgi.readthedocs.io/en/latest/specs/lifespan.html: the spec versions of lifespan are "1.0" and "2.0".
    line = server.wait_output(r"lifespan scope: (.*)")[1]
    assert "['asgi', 'state', 'type']" in line
    assert "'version': '3.0'" in line and "'spec_version': '2.0'" in line
    assert line.rstrip().endswith("{}")
    server.wait_output(r"lifespan event: \{'type': 'lifespan.startup'\}")
    assert state_of(server) == {"state": ["ready"], "lifespans": 1}
    assert server.stop() == 0
    assert "lifespan event: {'type': 'lifespan.shutdown'}" in server.output()
    assert "lifespan done" in server.output()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_shutdown_comes_with_either_signal(serve, number, loop):
    server = serve("lifespan:app", "--loop", loop)
    assert server.stop(number) == 0
    assert "lifespan done" in server.output()


def test_off_calls_no_lifespan(serve):
    server = serve("lifespan:app", "--lifespan", "off")
    assert state_of(server)["lifespans"] == 0
    assert server.stop() == 0
    assert "lifespan scope" not in server.output()


@pytest.mark.parametrize("mode", ["raises", "raises in startup", "returns"])
def test_auto_serves_an_app_without_lifespan(serve, mode):
    # "If an exception is raised when calling the application callable with a lifespan.startup message or a scope of
    # type lifespan, the server must continue but not send any lifespan events."
    server = serve("lifespan:app", env={"LIFESPAN": mode})
    assert wire.once(server.port).status == 200
    assert server.stop() == 0
    assert "lifespan.shutdown" not in server.output()
    assert "Traceback" not in server.output()


def test_auto_serves_the_plainest_app(serve):
    server = serve("hello:app")
    assert wire.once(server.port).body == b"hello"
    assert server.stop() == 0
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("mode", ["raises", "raises in startup"])
def test_on_makes_an_exception_fatal(serve, mode):
    server = serve("lifespan:app", "--lifespan", "on", env={"LIFESPAN": mode}, wait=False)
    assert server.wait() == 3
    assert "(wanted)" in server.output()
    assert server.output().count("Traceback") == 1


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_startup_failed_ends_with_3_and_its_message(serve, mode):
    server = serve("lifespan:app", "--lifespan", mode, env={"LIFESPAN": "failed"}, wait=False)
    assert server.wait() == 3
    assert "the database is away" in server.output()
    assert "Application startup failed. Exiting." in server.output()
    assert "Traceback" not in server.output()


def test_startup_failed_without_message(serve):
    server = serve("lifespan:app", env={"LIFESPAN": "failed silently"}, wait=False)
    assert server.wait() == 3
    assert "Application startup failed. Exiting." in server.output()


def test_nothing_listens_before_startup_is_complete(serve):
    server = serve("slow_start:app", wait=False)
    server.wait_output("starting")
    with pytest.raises(OSError):
        wire.Connection(server.port)
    server.wait_ready()
    assert "started" in server.output()


def test_stopped_during_startup(serve):
    server = serve("slow_start:app", wait=False, env={"START": "never"})
    server.wait_output("starting")
    assert server.stop() in (0, 128 + signal.SIGTERM)
    assert "cancelled" in server.output()


def test_system_exit_in_startup(serve):
    server = serve("lifespan:app", env={"LIFESPAN": "exits"}, wait=False)
    assert server.wait() in (3, 7)


@pytest.mark.parametrize("mode", ["raises late", "returns late"])
def test_lifespan_that_ends_after_startup(serve, mode):
    server = serve("lifespan:app", env={"LIFESPAN": mode})
    assert state_of(server)["state"] == ["ready"]
    if mode == "raises late":
        server.wait_output(r"lifespan dies \(wanted\)")
    assert wire.once(server.port).status == 200
    assert server.stop() in (0, 1)


def test_exception_in_shutdown_is_logged(serve):
    server = serve("lifespan:app", env={"LIFESPAN": "raises in shutdown"})
    assert server.stop() in (0, 1)
    assert "shutdown raises (wanted)" in server.output()


def test_shutdown_failed_prints_its_message(serve):
    server = serve("lifespan:app", env={"LIFESPAN": "shutdown failed"})
    assert server.stop() in (0, 1)
    assert "could not flush" in server.output()


def test_unknown_lifespan_event_raises_out_of_send(serve):
    server = serve("lifespan:app", env={"LIFESPAN": "wrong event"})
    server.wait_output("raised: ")
    assert wire.once(server.port).status == 200


def test_lifespan_and_requests_share_the_loop(serve, loop):
    server = serve("same_loop:app", "--loop", loop)
    assert wire.once(server.port).body == b"the same"
