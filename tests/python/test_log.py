"""The form of exceptions and long texts in the log."""

import asyncio
import traceback

import pytest
from goasgi import lifespan
from goasgi.log import PART, Log, format_exception


class Link:
    """Takes what is posted, like a link whose ring has room for some messages."""

    def __init__(self, room=1000):
        self.room = room
        self.posted = []

    def post(self, kind, status, text):
        assert len(text.encode()) <= PART
        if len(self.posted) == self.room:
            return False
        self.posted.append((kind, status, text))
        return True


def through_lifespan(function):
    """The exception of an application as this package meets it: below frames of its own."""

    async def app(scope, receive, send):
        function()

    caught = []
    keep = type("Keep", (Log,), {"error": lambda self, text, exc=None: caught.append(exc)})(Link(), 4)
    asyncio.run(lifespan.Lifespan(app, "on", keep, None).startup())
    (exc,) = caught
    assert "lifespan.py" in "".join(traceback.format_exception(exc))
    return exc


def shop():
    raise ValueError("sold out")


def test_own_frames_are_left_out():
    text = format_exception(through_lifespan(shop))
    assert "lifespan.py" not in text
    assert "in shop" in text and "in app" in text
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("ValueError: sold out")


def test_chained_exceptions():
    inner = through_lifespan(shop)

    def outer():
        try:
            raise inner
        except ValueError as exc:
            raise RuntimeError("no order") from exc

    text = format_exception(through_lifespan(outer))
    assert "lifespan.py" not in text
    assert "The above exception was the direct cause" in text
    assert "sold out" in text and "no order" in text


def test_exception_groups():
    inner = through_lifespan(shop)

    def group():
        raise ExceptionGroup("both", [inner, KeyError("k")])

    text = format_exception(through_lifespan(group))
    assert "lifespan.py" not in text
    assert "ExceptionGroup: both (2 sub-exceptions)" in text
    assert "ValueError: sold out" in text and "KeyError: 'k'" in text


def test_an_exception_that_cannot_be_printed():
    class Broken(Exception):
        def __str__(self):
            raise OSError

    assert "Broken" in format_exception(Broken())


def test_long_texts_are_cut_between_lines():
    link = Link()
    lines = [f"{n} " + "x" * 100 for n in range(2000)]
    Log(link, 4).info("\n".join(lines))
    assert len(link.posted) > 1
    assert "\n".join(text for _, _, text in link.posted).split("\n") == lines


@pytest.mark.parametrize("character", ["x", "é", "€", "𝄞"])
def test_long_lines_are_cut_between_characters(character):
    link = Link()
    Log(link, 4).info("a" + character * PART)
    assert "".join(text for _, _, text in link.posted) == "a" + character * PART


def test_what_is_no_text_for_a_log():
    link = Link()
    Log(link, 4).info("half \ud800 a pair")
    assert link.posted == [(4, 20, "half \\ud800 a pair")]


def test_a_full_ring(capsys):
    Log(Link(room=0), 4).error("still said")
    assert capsys.readouterr().err == "still said\n"


def test_the_last_word_of_a_worker():
    link = Link()
    Log(link, 4).last(2, 3, "\n".join(["first"] + ["x" * 100] * 500 + ["last"]))
    kinds = [(kind, status) for kind, status, _ in link.posted]
    assert kinds == [(4, 40)] * (len(kinds) - 1) + [(2, 3)]
    assert link.posted[-1][2].endswith("last")
