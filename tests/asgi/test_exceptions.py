"""Exceptions of the application: what its client sees, and the traceback once in the log."""

import re

import process
import pytest
import wire


@pytest.fixture(scope="module", params=[(), ("--no-eager-tasks",)], ids=["eager", "scheduled"])
def server(serve_module, request):
    return serve_module("exceptions:app", *request.param)


def provoke(server, target):
    """The response, whether the connection lives on after it, and the log of the request."""
    start = len(server.output())
    with wire.Connection(server.port) as connection:
        connection.request(target=target)
        try:
            response = connection.response()
        except wire.Closed:
            response = None
        if response and response.whole and response.get("connection") != "close":
            assert connection.get("/fine").body == b"fine"
            alive = True
        else:
            assert connection.rest() == b""
            alive = False
    assert wire.once(server.port, "/fine").body == b"fine"
    return response, alive, lambda pattern: server.wait_output(pattern, start=start) and server.output()[start:]


def assert_500(response):
    assert response.status == 500 and response.whole
    assert response["content-type"].startswith("text/plain")
    assert b"Internal Server Error" in response.body
    assert b"wanted" not in response.body


@pytest.mark.parametrize("target", ["/before_start", "/after_waiting", "/after_start"])
def test_500_before_the_response_has_begun(server, target):
    # A head is not sent before the first body, so that an exception between the two still gives a 500.
    response, _, log = provoke(server, target)
    assert_500(response)
    log(r"LookupError: deep inside \(wanted\)")


@pytest.mark.parametrize("target", ["/in_body", "/in_body_with_length"])
def test_broken_off_in_the_body(server, target):
    # https://asgi.readthedocs.io/en/latest/specs/main.html#error-handling: "must terminate its connection"
    response, alive, log = provoke(server, target)
    assert response.status == 200 and response.body == b"part"
    assert not response.whole and not alive
    log(r"LookupError: deep inside \(wanted\)")


def test_connection_lives_after_a_complete_response(server):
    response, alive, log = provoke(server, "/after_response")
    assert response.status == 200 and response.whole and response.body == b"whole"
    assert alive
    log(r"LookupError: deep inside \(wanted\)")


@pytest.mark.parametrize("target", ["/before_start", "/after_waiting", "/in_body", "/after_response"])
def test_traceback_once_and_without_our_frames(server, target):
    _, _, log = provoke(server, target)
    text = log(r"LookupError: deep inside \(wanted\)")
    assert text.count("Traceback (most recent call last)") == 1
    assert text.count("LookupError: ") == 1
    assert "Exception in ASGI application" in text
    assert "in deep" in text and f"in {target[1:]}" in text
    assert "raise LookupError" in text  # the line of source
    files = re.findall(r'File "([^"]+)"', text)
    assert files and all(str(process.APPS) in file for file in files), files


def test_frameworks_frames_stay(serve):
    server = serve("framework_error:app")
    assert wire.once(server.port).status == 500
    server.wait_output(r"ZeroDivisionError")
    assert "starlette" in server.output()
    assert "site-packages/goasgi" not in server.output()
    assert server.output().count("ZeroDivisionError") == 1


def test_causes_are_shown(server):
    response, _, log = provoke(server, "/chained")
    assert_500(response)
    text = log(r"ValueError: the effect \(wanted\)")
    assert "The above exception was the direct cause" in text
    assert "LookupError: deep inside (wanted)" in text


def test_exception_groups_are_shown(server):
    response, _, log = provoke(server, "/group")
    assert_500(response)
    assert "ExceptionGroup" in log(r"LookupError: deep inside \(wanted\)")


@pytest.mark.parametrize("target", ["/cancelled", "/base_exception"])
def test_exceptions_that_are_none(server, target):
    response, _, _ = provoke(server, target)
    assert_500(response)
    assert server.running()


@pytest.mark.parametrize("target", ["/no_response", "/only_start"])
def test_returning_without_a_response(server, target):
    response, _, log = provoke(server, target)
    assert_500(response)
    log("ASGI callable returned without (starting|completing) response")


def test_returning_in_the_body(server):
    response, alive, log = provoke(server, "/half_response")
    assert response.status == 200 and not response.whole and not alive
    log("ASGI callable returned without completing response")


def test_returning_a_value(server):
    response, _, _ = provoke(server, "/returns_a_value")
    assert response.whole and response.body == b"whole"


def test_no_answer_to_the_client_that_left(serve):
    server = serve("exceptions:app")
    for _ in range(20):
        connection = wire.Connection(server.port)
        connection.request(target="/before_start")
        connection.reset()
    assert wire.once(server.port, "/fine").body == b"fine"
