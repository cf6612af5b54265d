"""Fixtures of the end-to-end tests: every test drives the real command over real sockets.

GOASGI is the command to test; without it, the goasgi beside the running Python.
CONFORMANCE is the folder of the outside judge; without it, a folder beside the repository.
"""

import os
import pathlib

import process
import pytest

JUDGE = pathlib.Path(os.environ.get("CONFORMANCE") or process.TESTS.parents[1] / "shared" / "conformance")
collect_ignore = [] if (JUDGE / "asgi_conformance.py").exists() else ["conformance"]


def pytest_report_header():
    lines = [f"server: {' '.join(process.command())}"]
    if collect_ignore:
        lines.append(
            "left out: tests/conformance, because the outside judge is not there (CONFORMANCE names its folder)"
        )
    return lines


@pytest.fixture
def serve():
    """serve(app, *flags, env=…) starts the command and waits until it listens."""
    servers = process.Servers()
    yield servers
    servers.close()


@pytest.fixture(scope="module")
def serve_module():
    """The same for a server that all tests of a module share."""
    servers = process.Servers()
    yield servers
    servers.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request):
    return request.param


@pytest.fixture(scope="session")
def judge():
    return JUDGE
