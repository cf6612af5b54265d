"""The tests of the C half of the bridge alone, with a front in Python (front.py) instead of the one in Go.

goasgi._bridge must be importable; run.sh builds it.
"""

import pytest


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request):
    if request.param == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed here")
    return request.param


@pytest.fixture(params=[True, False], ids=["eager", "scheduled"])
def eager(request):
    return request.param
