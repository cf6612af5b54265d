"""The leak check, scaled down by REQUESTS; tests/faults/leaks.py does it in full."""

import os

import leaks
import pytest

REQUESTS = int(os.environ.get("REQUESTS", "20000"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("flags", [(), ("--loop", "asyncio", "--no-eager-tasks")], ids=["eager", "scheduled"])
def test_nothing_stays_behind(flags):
    assert not leaks.check(REQUESTS, False, *flags)


@pytest.mark.timeout(600)
def test_nothing_stays_behind_under_tracemalloc():
    assert not leaks.check(REQUESTS // 5, True)
