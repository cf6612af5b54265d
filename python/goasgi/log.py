"""What the worker says goes into the front's log, so that both write one stream."""

import sys
import traceback

DEBUG, INFO, WARNING, ERROR, CRITICAL = 10, 20, 30, 40, 50

# A log message travels in one record of the ring; a longer one in several, cut
# at the end of a line. In bytes; far below the largest record.
PART = 32 << 10


class Log:
    """Writes to the front's log through the link, or to stderr when that cannot take it."""

    def __init__(self, link, log_kind):
        self._link = link
        self._kind = log_kind

    def write(self, level, text):
        for part in _parts(text):
            if not self._link.post(self._kind, level, part):
                to_stderr(part)

    def last(self, kind, status, text):
        """Posts a message of another kind; what does not fit into it goes before it, as errors."""
        *parts, rest = _parts(text)
        for part in parts:
            self.write(ERROR, part)
        self._link.post(kind, status, rest)

    def debug(self, text):
        self.write(DEBUG, text)

    def info(self, text):
        self.write(INFO, text)

    def warning(self, text):
        self.write(WARNING, text)

    def error(self, text, exc=None):
        self.write(ERROR, text if exc is None else f"{text}\n{format_exception(exc)}")


def _parts(text):
    data = text.encode("utf-8", "backslashreplace").rstrip(b"\n")
    while len(data) > PART:
        end = data.rfind(b"\n", 0, PART) + 1
        if not end:
            end = PART
            while data[end] & 0xC0 == 0x80:  # not in the middle of a character
                end -= 1
        yield data[:end].rstrip(b"\n").decode()
        data = data[end:]
    yield data.decode()


def to_stderr(text):
    """Prints past the front's log, for where that cannot be reached."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):
        pass  # closed, or None: there is nobody left to tell


def format_exception(exc):
    """The traceback as Python prints it, without the frames of this package.

    Frames of the framework stay: they show how the application was called.
    Causes, contexts and exception groups are shown as usual.
    """
    report = traceback.TracebackException.from_exception(exc, compact=True)
    todo, seen = [report], set()
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if one.stack is not None:
            one.stack[:] = [frame for frame in one.stack if not _ours(frame.filename)]
            if not one.stack:
                one.stack = None  # else a headline would stand over nothing
        todo += [one.__cause__, one.__context__, *(one.exceptions or ())]
    return "".join(report.format()).rstrip("\n")


def _ours(filename):
    return filename.startswith(_HERE)


# "…/goasgi/" as files, "<goasgi." in the Go program, where this package is in no file.
_HERE = _ours.__code__.co_filename.rpartition("log")[0]
