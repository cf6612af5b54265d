from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from os import PathLike
from typing import Any, Literal

__version__: str

_Event = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Event]]
_Send = Callable[[_Event], Awaitable[None]]
_Application = Callable[[MutableMapping[str, Any], _Receive, _Send], Awaitable[None]]

def run(
    app: str | _Application,
    *,
    app_dir: str | PathLike[str] | None = None,
    factory: bool | None = None,
    lifespan: Literal["auto", "on", "off"] | None = None,
    root_path: str | None = None,
    loop: Literal["auto", "asyncio", "uvloop"] | None = None,
    eager_tasks: bool | None = None,
    cancel_on_disconnect: bool | None = None,
    host: str | None = None,
    port: int | None = None,
    uds: str | PathLike[str] | None = None,
    fd: int | None = None,
    backlog: int | None = None,
    header: str | Sequence[str] | None = None,
    server_header: bool | None = None,
    date_header: bool | None = None,
    timeout_keep_alive: float | None = None,
    timeout_graceful_shutdown: float | None = None,
    drain_idle: float | None = None,
    limit_concurrency: int | None = None,
    log_level: Literal["critical", "error", "warning", "info", "debug", "trace"] | None = None,
    access_log: bool | None = None,
    use_colors: bool | None = None,
) -> int:
    """Serve an application until the server is stopped; returns the exit status.

    The options are those of the command; ``goasgi --help`` explains them. None is the default.
    """
