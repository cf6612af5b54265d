"""goasgi.run() and python -m goasgi: the same server from inside of a Python program."""

import importlib.util
import signal
import subprocess
import sys

import process
import pytest
import wire

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("goasgi") is None, reason="the package goasgi is not installed in this environment"
)


@pytest.fixture
def start():
    started = []

    def start(*arguments, **options):
        port = process.free_port()
        arguments = [argument.replace("PORT", str(port)) for argument in arguments]
        server = process.Server(*arguments, program=[sys.executable], port=port, **options)
        started.append(server)
        return server.wait_ready()

    yield start
    for server in started:
        server.kill()


def test_python_m_goasgi(start):
    server = start("-m", "goasgi", "hello:app", "--port", "PORT")
    assert wire.once(server.port).body == b"hello"
    assert server.stop() == 0


def test_python_m_goasgi_help_is_the_commands():
    helped = subprocess.run(
        [sys.executable, "-m", "goasgi", "--help"], env=process.environment(), capture_output=True, text=True
    )
    assert helped.returncode == 0
    assert "--drain-idle" in helped.stdout


@pytest.mark.parametrize("what", ["import_string", "application_object"])
def test_run(start, what):
    server = start("runs.py", what, "PORT")
    assert wire.once(server.port).body == b"run"
    assert server.stop(signal.SIGINT) == 0


def test_run_gives_signal_handlers_back(start):
    server = start("runs.py", "handlers", "PORT")
    assert wire.once(server.port).body == b"run"
    server.send_signal(signal.SIGTERM)
    server.wait_output("returned")
    server.wait_output("handlers are the same: True")
    # And they work again.
    server.send_signal(signal.SIGTERM)
    server.wait_output("own SIGTERM handler")
    server.send_signal(signal.SIGINT)
    server.wait_output("own SIGINT handler")
    server.send_signal(signal.SIGUSR1)
    assert server.wait() == 0


def test_run_with_settings(start):
    server = start("runs.py", "settings", "PORT")
    response = wire.once(server.port)
    assert response["x-from"] == "settings"
    assert server.stop() == 0
    assert "GET /" not in server.output()


def test_run_returns_the_exit_status():
    result = process.run("runs.py", "fails", "0", program=[sys.executable])
    assert "no_such_module" in result.stderr
    assert result.returncode == 3


def test_run_under_a_name_guard_with_multiprocessing(start):
    """What the application spawns imports the main module again, which must not serve again."""
    server = start("runs.py", "spawns", "PORT")
    assert wire.once(server.port, "/spawn").body == b"spawned"
    assert server.stop() == 0


def test_package_tells_its_version_and_types():
    code = "import goasgi, pathlib; print(goasgi.__version__, (pathlib.Path(goasgi.__file__).parent / 'py.typed').exists())"
    result = process.run("-c", code, program=[sys.executable])
    assert result.returncode == 0, result.stderr
    version, typed = result.stdout.split()
    assert version[0].isdigit() and typed == "True"


def test_import_alone_starts_nothing():
    """Importing the package must not start threads, so that a program may fork afterwards."""
    code = "import goasgi, os; print(len(os.listdir('/proc/self/task')))"
    result = process.run("-c", code, program=[sys.executable])
    assert result.stdout.strip() == "1", result
