"""Sends events in a wrong order, or of a wrong form, and prints what send() raises."""

from respond import respond

START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"part", "more_body": True}
LAST = {"type": "http.response.body", "body": b"last"}


def start(**changes):
    return {**START, **changes}


def length(n):
    return start(headers=[(b"content-length", b"%d" % n)])


CASES = {
    "body_first": [LAST],
    "two_starts": [START, START],
    "start_in_the_body": [START, PART, START],
    "unknown_type": [{"type": "http.response.nonsense"}],
    "unknown_type_in_the_body": [START, {"type": "http.response.nonsense"}],
    "websocket_event": [{"type": "websocket.accept"}],
    "longer_than_content_length": [length(5), {"type": "http.response.body", "body": b"123456"}],
    "longer_in_parts": [length(5), PART, PART],
    "shorter_than_content_length": [length(5), LAST],
    "header_name_with_newline": [start(headers=[(b"x-a\r\nx-b", b"1")]), LAST],
    "header_name_with_space": [start(headers=[(b"x a", b"1")]), LAST],
    "header_value_with_newline": [start(headers=[(b"x-a", b"1\r\nx-b: 2")]), LAST],
    "no_type": [{"status": 200}],
    "no_status": [{"type": "http.response.start", "headers": []}],
    "status_is_text": [start(status="200")],
    "status_too_small": [start(status=99)],
    "status_too_big": [start(status=1000)],
    "headers_are_text": [start(headers=[("x-a", "1")])],
    "header_of_three": [start(headers=[(b"x-a", b"1", b"2")])],
    "headers_are_a_number": [start(headers=5)],
    "body_is_text": [START, {"type": "http.response.body", "body": "text"}],
    "event_is_a_list": [["http.response.start"]],
    "event_is_none": [None],
    "after_the_response": [START, LAST, LAST, START],
}


async def app(scope, receive, send):
    assert scope["type"] == "http", "no lifespan here"
    name = scope["path"][1:]
    for number, event in enumerate(CASES[name]):
        try:
            await send(event)
        except Exception as error:
            print(f"{name}: event {number}: {type(error).__name__}: {error}", flush=True)
            if scope["query_string"] == b"raise":
                raise
            if number == 0:
                await respond(send, "recovered")
            return
    print(f"{name}: no error", flush=True)
