"""The legal orders and forms of events; what is wrong raises at the send() that is wrong."""

import pytest
import wire

# https://asgi.readthedocs.io/en/latest/specs/main.html#error-handling
# "If the server receives an invalid event dictionary [...] the server must raise an exception out of the send
# awaitable back to the application." The words are uvicorn's, because people search for them.
WRONG_ORDER = {
    "body_first": (0, "Expected ASGI message 'http.response.start', but got 'http.response.body'."),
    "two_starts": (1, "Expected ASGI message 'http.response.body', but got 'http.response.start'."),
    "start_in_the_body": (2, "Expected ASGI message 'http.response.body', but got 'http.response.start'."),
    "unknown_type": (0, "Expected ASGI message 'http.response.start', but got 'http.response.nonsense'."),
    "unknown_type_in_the_body": (1, "Expected ASGI message 'http.response.body', but got 'http.response.nonsense'."),
    "websocket_event": (0, "Expected ASGI message 'http.response.start', but got 'websocket.accept'."),
    "longer_than_content_length": (1, "Response content longer than Content-Length"),
    "longer_in_parts": (2, "Response content longer than Content-Length"),
    "shorter_than_content_length": (1, "Response content shorter than Content-Length"),
    "header_name_with_newline": (0, "Invalid HTTP header name."),
    "header_name_with_space": (0, "Invalid HTTP header name."),
    "header_value_with_newline": (0, "Invalid HTTP header value."),
}
WRONG_FORM = {
    "no_type": 0,
    "no_status": 0,
    "status_is_text": 0,
    "status_too_small": 0,
    "status_too_big": 0,
    "headers_are_text": 0,
    "header_of_three": 0,
    "headers_are_a_number": 0,
    "body_is_text": 1,
    "event_is_a_list": 0,
    "event_is_none": 0,
}


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("orders:app")


@pytest.fixture(scope="module")
def forms(serve_module):
    return serve_module("forms:app")


def provoke(server, case):
    """Sends the request and returns the response, None if there was none, and what send() raised."""
    start = len(server.output())
    with wire.Connection(server.port) as connection:
        connection.request(target=f"/{case}")
        try:
            response = connection.response()
        except wire.Closed:
            response = None
        raised = server.wait_output(rf"^{case}: (.*?)\r?$", start=start)[1]
    return response, raised


@pytest.mark.parametrize("case", WRONG_ORDER)
def test_wrong_order_raises(server, case):
    event, words = WRONG_ORDER[case]
    response, raised = provoke(server, case)
    assert raised == f"event {event}: RuntimeError: {words}"
    if event == 0:
        assert response.status == 200 and response.body == b"recovered"
    else:
        assert response is None or response.status == 500 or not response.whole


@pytest.mark.parametrize("case", WRONG_FORM)
def test_wrong_form_raises(server, case):
    response, raised = provoke(server, case)
    assert raised.startswith(f"event {WRONG_FORM[case]}: "), raised
    assert raised.split(": ")[1] in ("RuntimeError", "TypeError", "ValueError", "KeyError"), raised
    if WRONG_FORM[case] == 0:
        assert response.status == 200 and response.body == b"recovered"


def test_exception_out_of_send_becomes_500(server):
    for case in ("body_first", "unknown_type", "no_status", "header_value_with_newline"):
        assert wire.once(server.port, f"/{case}?raise").status == 500


def test_events_after_the_response_are_ignored(server):
    # https://asgi.readthedocs.io/en/latest/specs/www.html#response-body-send-event
    # "[more_body] If False, response will be taken as complete and closed, and any further messages on the channel
    # will be ignored."
    start = len(server.output())
    with wire.Connection(server.port) as connection:
        response = connection.get("/after_the_response")
        assert response.status == 200 and response.whole and response.body == b"last"
        server.wait_output("after_the_response: no error", start=start)
        assert connection.get("/after_the_response").body == b"last"


def test_optional_keys_may_be_left_out(forms):
    response = wire.once(forms.port, "/bare")
    assert response.status == 200 and response.whole and response.body == b""


def test_status_may_be_an_enum(forms):
    response = wire.once(forms.port, "/status_enum")
    assert response.status == 418 and response.body == b"short and stout"


def test_headers_may_be_any_iterable(forms):
    response = wire.once(forms.port, "/iterables")
    assert response["x-list"] == "1" and response["x-tuple"] == "2"


def test_bodies_may_be_any_buffer(forms):
    assert wire.once(forms.port, "/buffers").body == b"onetwosix"


def test_unknown_keys_are_no_error(forms):
    assert wire.once(forms.port, "/more_keys").body == b"ok"


def test_empty_parts_do_not_end_the_body(forms):
    response = wire.once(forms.port, "/empty_parts")
    assert response.whole and response.body == b"onetwo"


def test_buffer_may_be_reused_after_send(forms):
    assert wire.once(forms.port, "/reused").body == b"a" * 1000 + b"b" * 1000 + b"c" * 1000


@pytest.mark.parametrize("status", [200, 201, 207, 226, 299, 400, 418, 451, 499, 511, 599, 999])
def test_any_status_of_three_digits(forms, status):
    assert wire.once(forms.port, f"/status?{status}").status == status
