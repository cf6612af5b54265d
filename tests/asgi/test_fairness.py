"""Requests do not keep the event loop from its timers, and no application keeps it for itself.

The figures are printed; what is asserted leaves a noisy machine a wide margin.
"""

import json
import threading

import pytest
import wire


@pytest.fixture
def server(serve, loop):
    return serve("fairness:app", "--loop", loop, "--no-access-log")


def worst_timer(server, load):
    """How late the application's timers were at worst, in seconds, while load() went on."""
    with wire.Connection(server.port, timeout=60) as control:
        assert control.get("/timers").body == b"measuring"
        load()
        answer = json.loads(control.get("/timers?stop").body)
    assert answer["ticks"] > 0, "no timer came at all"
    return answer["worst"]


def test_ten_thousand_requests_at_once(server):
    def load():
        connections = [wire.Connection(server.port, timeout=60) for _ in range(100)]
        request = b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"
        for connection in connections:
            connection.send(request * 100)
        for connection in connections:
            for _ in range(100):
                assert connection.response().body == b"hello"
            connection.close()

    worst = worst_timer(server, load)
    print(f"10,000 requests at once: a timer came {worst * 1000:.1f} ms late at worst")
    assert worst < 0.5


@pytest.mark.parametrize("target, body", [("/sends", b""), ("/receives", b"x" * 100_000_000)], ids=["send", "receive"])
def test_an_application_that_never_waits(server, target, body):
    def load():
        done = threading.Event()

        def busy():
            with wire.Connection(server.port, timeout=60) as connection:
                response = connection.post(target, body)
                assert response.whole
                done.set()

        threading.Thread(target=busy, daemon=True).start()
        served = 0
        with wire.Connection(server.port, timeout=60) as connection:
            while not done.is_set():
                assert connection.get("/hello").body == b"hello"
                served += 1
        print(f"{served} others were served meanwhile")
        assert served > 3

    worst = worst_timer(server, load)
    print(f"a loop of {target[1:]}: a timer came {worst * 1000:.1f} ms late at worst")
    assert worst < 1
