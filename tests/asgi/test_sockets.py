"""TCP over IPv4 and IPv6, Unix sockets, inherited descriptors; what happens when descriptors run out."""

import ctypes
import os
import re
import resource
import socket
import stat
import struct

import httpx
import process
import pytest
import wire


def test_port_zero_prints_the_port_it_got(serve):
    server = process.Server("hello:app", "--port", "0")
    try:
        port = int(server.wait_output(r"http://127\.0\.0\.1:(\d+)")[1])
        assert port
        assert wire.once(port).body == b"hello"
    finally:
        server.kill()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1", "::"])
def test_addresses(serve, host):
    port = process.free_port()
    server = process.Server("hello:app", "--host", host, "--port", str(port), port=port)
    try:
        server.host = "::1" if ":" in host else "127.0.0.1"
        server.wait_ready()
        assert wire.once((server.host, port)).body == b"hello"
        shown = re.escape(f"[{host}]" if ":" in host else host)
        server.wait_output(rf"http://({shown}|127\.0\.0\.1|\[::1\]):{port}\b")
    finally:
        server.kill()


def test_unix_socket(serve, tmp_path):
    path = tmp_path / "socket"
    server = serve("http1:app", uds=path)
    assert str(path) in server.output()
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://test") as client:
        assert client.post("/echo", content=b"x" * 200_000).content == b"x" * 200_000
        assert client.get("/length").text == "onetwothree"


def test_stale_unix_socket_is_replaced(serve, tmp_path):
    path = tmp_path / "socket"
    left = serve("hello:app", uds=path)
    left.kill()
    assert path.is_socket()
    server = serve("hello:app", uds=path)
    assert wire.once(server.uds).body == b"hello"


def test_inherited_socket(serve):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        server = serve("hello:app", "--fd", str(fd), port=listener.getsockname()[1], pass_fds=[fd])
        assert wire.once(server.port).body == b"hello"
        assert server.stop() == 0
        # It is the parent's: the kernel still takes connections for the next server.
        server = serve("hello:app", "--fd", str(fd), port=listener.getsockname()[1], pass_fds=[fd])
        assert wire.once(server.port).body == b"hello"


def test_inherited_unix_socket_is_not_removed(serve, tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        fd = listener.fileno()
        server = process.Server("hello:app", "--fd", str(fd), uds=path, pass_fds=[fd])
        try:
            server.wait_ready()
            assert wire.once(path).body == b"hello"
            assert server.stop() == 0
        finally:
            server.kill()
        assert os.path.exists(path)


def sockets_of(server):
    """The server's own sockets, borrowed from its process."""
    process_descriptor = os.pidfd_open(server.pid)
    pidfd_getfd = 438
    borrowed = []
    for name in os.listdir(f"/proc/{server.pid}/fd"):
        fd = ctypes.CDLL(None, use_errno=True).syscall(pidfd_getfd, process_descriptor, int(name), 0)
        if fd < 0:
            continue
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            borrowed.append(socket.socket(fileno=fd))
        else:
            os.close(fd)
    os.close(process_descriptor)
    return borrowed


def test_backlog(serve):
    server = serve("hello:app", "--backlog", "7")
    backlogs = []
    for borrowed in sockets_of(server):
        with borrowed:
            if borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                # Of a listening socket, tcpi_sacked is the backlog: see tcp_get_info() in the kernel.
                backlogs.append(
                    struct.unpack_from("I", borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 28)[0]
                )
    assert backlogs == [7]


def test_no_delay(serve):
    """Without TCP_NODELAY a small second part waits for the client's delayed acknowledgement."""
    server = serve("hello:app")
    with wire.Connection(server.port) as connection:
        connection.get()
        client, delays = connection.socket.getsockname(), []
        for borrowed in sockets_of(server):
            with borrowed:
                if borrowed.family == socket.AF_INET and not borrowed.getsockopt(
                    socket.SOL_SOCKET, socket.SO_ACCEPTCONN
                ):
                    if borrowed.getpeername() == client:
                        delays.append(borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    assert delays == [1]


def test_out_of_descriptors_pauses_accepting(serve):
    """EMFILE: one line in the log, no spinning, no end; accepting goes on when descriptors are free again."""
    server = serve("http1:app", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    with wire.Connection(server.port) as first:
        assert first.get("/length").status == 200
        others = []
        for _ in range(100):
            others.append(wire.Connection(server.port))
            others[-1].request(target="/length")
        line = server.wait_output(r"(?i)^.*(too many open files|file descriptors|descriptors).*$")[0]
        assert line.startswith(("WARNING", "ERROR"))
        before = cpu(server)
        # Meanwhile those that are connected are served.
        for _ in range(100):
            assert first.get("/length").status == 200
        assert first.silent(1)
        assert cpu(server) - before < 0.5, "it spins"
        lines = re.findall(r"(?i)^.*(?:too many open files|descriptors).*$", server.output(), re.MULTILINE)
        assert len(lines) <= 3, lines
        answered = 0
        for connection in others:
            assert connection.response().status == 200
            connection.close()
            answered += 1
        assert answered == 100
    assert wire.once(server.port, "/length").status == 200
    assert server.running()


def test_out_of_descriptors_before_the_first_request(serve):
    """The runtime of Go needs a descriptor of its own once, for its first timer, and ends the process without it."""
    server = serve("http1:app", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    silent = [wire.Connection(server.port) for _ in range(100)]
    server.wait_output("(?i)too many open files")
    for connection in silent:
        assert connection.get("/length").status == 200
        connection.close()
    assert wire.once(server.port, "/length").status == 200
    assert server.stop() == 0


def cpu(server):
    """CPU seconds of the server so far."""
    fields = open(f"/proc/{server.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_idle_server_sleeps(serve):
    server = serve("hello:app")
    with wire.Connection(server.port) as connection:
        connection.get()
        before = cpu(server)
        assert connection.silent(2)
        assert cpu(server) - before < 0.2
