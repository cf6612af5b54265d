"""A client that sends exactly the bytes it is given and sees exactly what comes back."""

import socket
import struct
import time


class Closed(Exception):
    """The server closed the connection before a whole response had come."""


class Response:
    """One response. body holds what came of it, whole tells whether that is all of it."""

    def __init__(self, version, status, reason):
        self.version = version
        self.status = status
        self.reason = reason
        self.headers = []
        self.body = b""
        self.whole = False
        self.interim = []

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def __getitem__(self, name):
        values = self.all(name)
        if len(values) != 1:
            raise KeyError(f"{name}: {values} in {self.headers}")
        return values[0]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None

    def __repr__(self):
        return f"<{self.status} {self.reason} whole={self.whole} {self.headers} {self.body[:200]!r}>"


class Connection:
    """One connection. Every wait has the same deadline, which only a hang reaches."""

    def __init__(self, address, timeout=20.0, receive_buffer=None):
        """address is a port on 127.0.0.1, a (host, port) pair, or the path of a Unix socket."""
        if isinstance(address, int):
            address = ("127.0.0.1", address)
        if isinstance(address, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.timeout = timeout
        self.socket.settimeout(timeout)
        self.buffer = bytearray()  # what came and was not asked for yet
        self.ended = False
        try:
            self.socket.connect(address)
            if family != socket.AF_UNIX:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def request(self, method="GET", target="/", headers=(), body=None, version="1.1", chunked=False):
        """Sends one request; a body is given its Content-Length unless it is chunked."""
        lines = [f"{method} {target} HTTP/{version}", "Host: test"]
        lines += [f"{name}: {value}" for name, value in headers]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        elif body is not None:
            lines.append(f"Content-Length: {len(body)}")
        data = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        if chunked:
            data += b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        elif body:
            data += body
        self.send(data)

    def get(self, target="/", headers=(), **options):
        self.request("GET", target, headers, **options)
        return self.response()

    def post(self, target="/", body=b"", headers=(), **options):
        self.request("POST", target, headers, body, **options)
        return self.response()

    def close(self):
        self.socket.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Leaves with RST, as a client does whose process is killed with unread data."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def fill(self):
        """Reads some more into the buffer; False at the end."""
        if self.ended:
            return False
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            self.ended = True
            return False
        self.buffer += data
        return True

    def until(self, mark):
        """What comes up to and including mark."""
        while mark not in self.buffer:
            if not self.fill():
                raise Closed(f"before {mark!r}; had {self.buffer[:300]!r}")
        return self._take(self.buffer.index(mark) + len(mark))

    def exactly(self, n):
        while len(self.buffer) < n:
            if not self.fill():
                raise Closed(f"{n - len(self.buffer)} bytes short")
        return self._take(n)

    def rest(self):
        """All that comes until the server closes."""
        while self.fill():
            pass
        return self._take(len(self.buffer))

    def _take(self, n):
        data = bytes(self.buffer[:n])
        del self.buffer[:n]  # of a bytearray, this moves nothing
        return data

    def silent(self, seconds):
        """Whether nothing comes, not even the end, for so long."""
        if self.buffer or self.ended:
            return False
        self.socket.settimeout(seconds)
        try:
            self.fill()
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(self.timeout)
        return False

    def head(self):
        first = self.until(b"\r\n")[:-2]
        version, status, reason = first.decode("latin-1").split(" ", 2)
        response = Response(version, int(status), reason)
        while line := self.until(b"\r\n")[:-2]:
            name, _, value = line.decode("latin-1").partition(":")
            response.headers.append((name, value.strip()))
        return response

    def response(self, method="GET"):
        """The next response with its interim ones. One that breaks off has whole == False."""
        interim = []
        response = self.head()
        while 100 <= response.status < 200 and response.status != 101:
            interim.append(response)
            response = self.head()
        response.interim = interim
        coding, length = response.get("transfer-encoding"), response.get("content-length")
        parts = []
        try:
            if method == "HEAD" or response.status in (101, 204, 304):
                pass
            elif coding:
                assert coding == "chunked" and length is None, response.headers
                while size := int(self.until(b"\r\n"), 16):
                    self._body(parts, size)
                    assert self.exactly(2) == b"\r\n"
                assert self.until(b"\r\n") == b"\r\n"
            elif length is not None:
                self._body(parts, int(length))
            else:
                parts.append(self.rest())
            response.whole = True
        except Closed:
            pass
        response.body = b"".join(parts)
        return response

    def _body(self, parts, size):
        while size:
            if not self.buffer and not self.fill():
                raise Closed(f"{size} bytes short")
            parts.append(self._take(min(size, len(self.buffer))))
            size -= len(parts[-1])


def once(address, target="/", method="GET", **options):
    """One request on a connection of its own."""
    with Connection(address) as connection:
        connection.request(method, target, **options)
        return connection.response(method)


def eventually(condition, what, seconds=20.0):
    """Waits for something outside of this process that can only be asked for, and returns it."""
    end = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)
