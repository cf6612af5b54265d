"""The server under test, as a real process."""

import os
import pathlib
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parent
APPS = TESTS / "apps"


def command():
    """The server's command: the environment's GOASGI, else goasgi beside the running Python."""
    return shlex.split(os.environ.get("GOASGI", "")) or [str(pathlib.Path(sys.executable).parent / "goasgi")]


def environment(extra=None):
    """What the server sees: this Python's environment, which the Go program finds by VIRTUAL_ENV."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GOASGI")}
    env["PATH"] = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}"
    if sys.prefix != sys.base_prefix:
        env["VIRTUAL_ENV"] = sys.prefix
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env.pop("PYTHONUNBUFFERED", None)  # else print() writes a line in parts, between which the log may get
    env.update(extra or {})
    return env


def run(*arguments, env=None, cwd=None, timeout=60.0, program=None):
    """Runs the command to its end; for what ends by itself (--help, errors)."""
    return subprocess.run(
        [*(program or command()), *arguments],
        cwd=cwd or APPS,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
    )


def free_port(host="127.0.0.1"):
    """A port that is free, below those that the kernel gives to clients in the meantime."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port


class Server:
    """One run of the command. Its output is collected by a thread, so that tests wait for lines."""

    def __init__(self, *arguments, port=None, uds=None, host="127.0.0.1", env=None, cwd=None, program=None, **popen):
        self.port, self.uds, self.host = port, uds, host
        self.arguments = [*(program or command()), *arguments]
        self.changed = threading.Condition()
        self._output = ""
        self._over = False
        self.process = subprocess.Popen(
            self.arguments,
            cwd=cwd or APPS,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **popen,
        )
        self.pid = self.process.pid
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        descriptor = self.process.stdout.fileno()
        while data := os.read(descriptor, 1 << 16):
            with self.changed:
                self._output += data.decode("utf-8", "replace")
                self.changed.notify_all()
        with self.changed:
            self._over = True
            self.changed.notify_all()

    @property
    def address(self):
        return self.uds or (self.host, self.port)

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def output(self):
        with self.changed:
            return self._output

    def wait_output(self, pattern, seconds=20.0, start=0):
        """The match of the pattern in the output; waits until it is there."""
        expression = re.compile(pattern, re.MULTILINE)
        end = time.monotonic() + seconds
        with self.changed:
            while not (match := expression.search(self._output, start)):
                left = end - time.monotonic()
                over = self._over
                assert left > 0 and not over, f"no {pattern!r} in the output:\n{self._output[-5000:]}"
                self.changed.wait(left)
            return match

    def wait_ready(self, seconds=30.0):
        """Connects until the server listens. It does not before the application has started."""
        end = time.monotonic() + seconds
        family = socket.AF_UNIX if self.uds else socket.AF_INET6 if ":" in self.host else socket.AF_INET
        while True:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                try:
                    probe.connect(self.address)
                    return self
                except OSError:
                    pass
            status = self.process.poll()
            if status is not None:
                self.reader.join(5)
                raise AssertionError(f"{shlex.join(self.arguments)} ended with {status}:\n{self.output()}")
            assert time.monotonic() < end, f"does not listen after {seconds} s:\n{self.output()}"
            time.sleep(0.01)

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=40.0):
        """The exit status, as a shell says it: 128 + n for signal n."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {seconds} s:\n{self.output()}") from None
        # The pipe stays open while a child of the application lives; then the rest is not waited for.
        self.reader.join(2)
        return status if status >= 0 else 128 - status

    def stop(self, number=signal.SIGTERM, seconds=40.0):
        """Sends the signal and returns the exit status."""
        self.send_signal(number)
        return self.wait(seconds)

    def running(self):
        return self.process.poll() is None

    def children(self):
        """Process ids of direct children."""
        found = []
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            found += (task / "children").read_text().split()
        return [int(pid) for pid in found]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident(self):
        """Resident memory of the process and its children, in bytes, without shared pages of files."""
        total = 0
        for pid in [self.pid, *self.children()]:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            total += sum(int(kb) for kb in re.findall(r"^Rss(?:Anon|Shmem):\s+(\d+) kB", status, re.MULTILINE))
        return total << 10

    def kill(self):
        """Ends whatever is left of it; its session is its own."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(10)
        self.reader.join(2)
        self.process.stdout.close()


class Servers:
    """Starts servers and ends them all."""

    def __init__(self):
        self.started = []

    def __call__(self, app, *flags, wait=True, port=None, uds=None, host="127.0.0.1", **options):
        """Serves app (a string of the command line) on a free port, or on what is given."""
        flags = list(flags)
        if uds:
            flags += ["--uds", str(uds)]
        elif "--fd" not in flags:
            port = port or free_port(host)
            flags += ["--host", host, "--port", str(port)]
        server = Server(app, *flags, port=port, uds=uds and str(uds), host=host, **options)
        self.started.append(server)
        return server.wait_ready() if wait else server

    def close(self):
        for server in self.started:
            server.kill()
