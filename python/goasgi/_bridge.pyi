from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from typing import Any

STARTED: int
FAILED: int
STOPPED: int
LOG: int
SIGNALS: int

STOP: int
SIGNAL: int
FATAL: int

class ClientDisconnected(OSError): ...

class Link:
    def start(
        self,
        loop: AbstractEventLoop,
        app: Callable[..., Any],
        state: dict[str, Any] | None,
        root_path: str,
        eager: bool,
        cancel_on_disconnect: bool,
        report: Callable[[BaseException | None, str, str], None],
        control: Callable[[int, int], None],
        /,
    ) -> None: ...
    def fileno(self) -> int: ...
    def drain(self) -> None: ...
    def post(self, kind: int, status: int, text: str, /) -> bool: ...
    def signals(self) -> int: ...
    def mark_signals(self) -> None: ...
    def close(self) -> None: ...

def attach(memory: int, worker: int, front: int, header_names: Sequence[str], /) -> Link: ...
