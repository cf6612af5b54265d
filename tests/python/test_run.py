"""goasgi.run(), from programs that do other things before and after."""

import re
import signal
import subprocess
import sys
import urllib.request

import process
import pytest

STOPS = """
import asyncio, os, signal, sys, threading
import goasgi

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("shut down", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
    if scope["path"] == "/stop":
        os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.fixture
def program(tmp_path):
    """Starts a Python program; its server is stopped by a request."""
    started = []

    def start(source, wait=True, **options):
        (tmp_path / "program.py").write_text(STOPS + source)
        server = process.Server(str(tmp_path / "program.py"), program=[sys.executable], cwd=tmp_path, **options)
        started.append(server)
        if wait:
            server.port = int(server.wait_output(r"running on http://127\.0\.0\.1:(\d+)")[1])
        return server

    yield start
    for server in started:
        server.kill()


def get(server, path):
    with urllib.request.urlopen(server.url + path, timeout=10) as response:
        return response.read()


@pytest.mark.parametrize("app", ["app", "'program:app'"])
def test_run_returns(program, app):
    server = program(f"if __name__ == '__main__':\n    print('status', goasgi.run({app}, port=0, access_log=False))\n")
    assert get(server, "/stop") == b"hello"
    assert server.wait() == 0
    assert "shut down\n" in server.output()
    assert server.output().endswith("status 0\n")
    assert "/stop" not in server.output()


def test_the_application_is_named_in_the_log(program):
    server = program("class App:\n    async def __call__(self, *args): await app(*args)\ngoasgi.run(App(), port=0)\n")
    assert "Serving __main__.App object with CPython" in server.output()
    assert get(server, "/stop") == b"hello"
    assert server.wait() == 0


def test_options(program, tmp_path):
    server = program(
        "import pathlib\n"
        "goasgi.run(app, port=0, header=['X-One:1', 'X-Two:2'], server_header=False, app_dir=pathlib.Path.cwd(),\n"
        "           timeout_keep_alive=2.5, use_colors=None, factory=False, log_level='info')\n"
    )
    with urllib.request.urlopen(server.url + "/stop", timeout=10) as response:
        assert response.headers["X-One"] == "1" and response.headers["X-Two"] == "2"
        assert "Server" not in response.headers
    assert server.wait() == 0


def test_wrong_options(program):
    server = program("print('status', goasgi.run(app, prot=8000))", wait=False)
    assert server.wait() == 0
    assert re.search(r"--prot.*--port", server.output()), server.output()
    assert server.output().endswith("status 2\n")


def test_startup_failure(program):
    server = program(
        "if __name__ == '__main__':\n    print('status', goasgi.run('program:nothing', port=0))\n", wait=False
    )
    assert server.wait() == 0
    assert 'module program has no attribute "nothing" (it has: app)' in server.output()
    assert server.output().endswith("status 3\n")


def test_signal_handlers_are_given_back(program):
    server = program(
        "def mine(number, frame): print('mine', number, flush=True)\n"
        "signal.signal(signal.SIGTERM, mine)\n"
        "before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)}\n"
        "wakeup = signal.set_wakeup_fd(-1)\n"
        "goasgi.run(app, port=0)\n"
        "assert before == {n: signal.getsignal(n) for n in before}, before\n"
        "assert signal.set_wakeup_fd(-1) == wakeup\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    import time; time.sleep(10)\n"
        "except KeyboardInterrupt: print('interrupted', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
    )
    assert get(server, "/stop") == b"hello"
    assert server.wait() == 128 + signal.SIGHUP
    assert server.output().endswith("mine 15\ninterrupted\n")


def test_an_event_loop_runs_before_and_after(program):
    server = program(
        "async def other(): return 'other loop'\n"
        "asyncio.run(other())\n"
        "goasgi.run(app, port=0)\n"
        "print(asyncio.run(other()))\n"
    )
    assert get(server, "/stop") == b"hello"
    assert server.wait() == 0
    assert server.output().endswith("other loop\n")


def test_one_server_after_the_other(program):
    server = program("print('first', goasgi.run(app, port=0))\nprint('second', goasgi.run(app, port=0))\n")
    for name in ("first", "second"):
        server.port = int(re.findall(r"running on http://127\.0\.0\.1:(\d+)", server.output())[-1])
        assert get(server, "/stop") == b"hello"
        if name == "first":
            server.wait_output(r"first 0\n(.*\n)*.*running on http")
    assert server.wait() == 0
    assert server.output().endswith("second 0\n")


@pytest.mark.parametrize(
    "source, text",
    [
        ("threading.Thread(target=attempt).start()", "must be called from the main thread"),
        ("async def main(): attempt()\nasyncio.run(main())", "cannot be called while an event loop runs"),
        (
            "goasgi.run(app, prot=1)\nif os.fork() == 0:\n    attempt()\n    sys.exit()\nos.wait()",
            "of which this process is a fork",
        ),
    ],
    ids=["thread", "loop", "fork"],
)
def test_where_it_cannot_be_called(program, source, text):
    server = program(
        "def attempt():\n"
        "    try:\n        goasgi.run(app, port=0)\n"
        "    except RuntimeError as exc: print('RuntimeError:', exc, flush=True)\n" + source,
        wait=False,
        env={"PYTHONWARNINGS": "ignore"},  # of threads and fork
    )
    assert server.wait() == 0
    assert re.search(f"RuntimeError: .*{text}", server.output()), server.output()


@pytest.mark.parametrize("command", [["-m", "goasgi"], None], ids=["python -m goasgi", "goasgi"])
def test_both_commands(command):
    command = [sys.executable, *command] if command else [process.sys.executable.rpartition("/")[0] + "/goasgi"]
    done = process.run("--version", program=command)
    assert done.returncode == 0
    assert re.fullmatch(r"goasgi \d+\.\d+\.\d+\S* \(CPython 3\.\d+\.\d+.*\)\n", done.stdout)


def test_the_end_of_the_process(program, tmp_path):
    """atexit functions and threads of the application end as in any Python program."""
    (tmp_path / "site_app.py").write_text(
        STOPS + "import atexit, time, concurrent.futures\n"
        "atexit.register(print, 'at exit')\n"
        "pool = concurrent.futures.ThreadPoolExecutor()\n"
        "pool.submit(lambda: (time.sleep(0.3), print('pool')))\n"
        "ended = threading.Event()\n"
        "threading.Thread(target=lambda: (ended.wait(), print('thread'))).start()\n"
        "threading._register_atexit(ended.set)\n"
    )
    server = process.Server("-m", "goasgi", "site_app:app", "--port", "0", program=[sys.executable], cwd=tmp_path)
    try:
        server.port = int(server.wait_output(r"running on http://127\.0\.0\.1:(\d+)")[1])
        assert get(server, "/stop") == b"hello"
        assert server.wait() == 0
        assert server.output().endswith("pool\nthread\nat exit\n") or server.output().endswith(
            "thread\npool\nat exit\n"
        )
    finally:
        server.kill()


def test_a_stuck_thread_does_not_keep_the_server(program, tmp_path):
    (tmp_path / "stuck_app.py").write_text(
        STOPS + "import atexit, time\n"
        "atexit.register(print, 'at exit')\n"
        "threading.Thread(target=time.sleep, args=(3600,), name='Sleeper').start()\n"
    )
    server = process.Server("-m", "goasgi", "stuck_app:app", "--port", "0", program=[sys.executable], cwd=tmp_path)
    try:
        server.port = int(server.wait_output(r"running on http://127\.0\.0\.1:(\d+)")[1])
        assert get(server, "/stop") == b"hello"
        assert server.wait() == 0
        assert "left behind: Sleeper\n" in server.output()
        assert server.output().endswith("at exit\n")
    finally:
        server.kill()


def test_importing_the_package_loads_nothing():
    code = "import sys, goasgi; print([m for m in sys.modules if m.startswith(('goasgi.', 'asyncio', 'uvloop'))])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
