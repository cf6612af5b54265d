"""Applications that keep send and receive after they returned, and tasks that are cancelled anywhere."""

import json

import pytest
import wire


@pytest.fixture(scope="module", params=[(), ("--no-eager-tasks",)], ids=["eager", "scheduled"])
def server(serve_module, request):
    return serve_module("afterwards:app", *request.param)


@pytest.fixture(scope="module", params=[(), ("--no-eager-tasks",)], ids=["eager", "scheduled"])
def cancelling(serve_module, request):
    return serve_module("cancelled:app", *request.param)


def test_kept_send_reaches_no_later_request(server):
    with wire.Connection(server.port) as connection:
        for _ in range(30):
            assert connection.get("/keep").body == b"kept"
        # The slots of those calls are in use again now; nothing that is late may turn up in them.
        response = connection.get("/use")
        assert response.status == 200 and response.whole
        results = json.loads(response.body)
        assert len(results) == 120
        assert set(results) <= {None, "http.disconnect", "OSError", "RuntimeError", "ClientDisconnected"}, set(results)
        for _ in range(30):
            assert connection.get("/fine").body == b"fine"


def test_kept_coroutines_are_freed(server):
    with wire.Connection(server.port) as connection:
        for _ in range(100):
            connection.get("/keep")
        assert connection.get("/clear").body == b"cleared"


def test_answer_that_comes_after_the_return(server):
    start = len(server.output())
    response = wire.once(server.port, "/answer_later")
    assert response.status == 500
    server.wait_output("later: ", start=start)
    assert wire.once(server.port, "/fine").body == b"fine"


def test_task_left_waiting_in_receive(server):
    start = len(server.output())
    with wire.Connection(server.port) as connection:
        assert connection.get("/waiting_behind").body == b"left behind"
        assert connection.get("/fine").body == b"fine"
    server.wait_output("waiting_behind: http.disconnect", start=start)


@pytest.mark.parametrize("turns", range(30))
def test_task_cancelled_anywhere(cancelling, turns):
    with wire.Connection(cancelling.port) as connection:
        connection.request("POST", f"/cancel_me?{turns}", body=b"x" * 1000)
        try:
            response = connection.response()
        except wire.Closed:
            response = None
        if response is not None and response.status == 200:
            assert b"x" * len(response.body) == response.body
            assert not response.whole or len(response.body) == 200_000
    assert wire.once(cancelling.port, "/fine").body == b"fine"


def test_cancelled_receive_and_send_leave_the_request_whole(cancelling):
    with wire.Connection(cancelling.port) as connection:
        for _ in range(20):
            assert connection.post("/swallow", b"body").body == b"whole"
