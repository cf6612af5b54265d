"""The lifespan protocol: https://asgi.readthedocs.io/en/latest/specs/lifespan.html

The words of the log are uvicorn's, because people search for them.
"""

import asyncio


class Lifespan:
    """Runs an application's lifespan call in a task of its own.

    mode "on" makes an exception before startup.complete fatal; "auto" takes it
    for an application without lifespan, as the specification wants; "off" does
    not call at all. exit is called with a SystemExit or KeyboardInterrupt that
    came out of the application.
    """

    def __init__(self, app, mode, log, exit):
        self.state = {}  # the application's, copied into each request's scope
        self._app = app
        self._mode = mode
        self._log = log
        self._exit = exit
        self._events = asyncio.Queue()
        self._started = asyncio.Event()  # startup is over, one way or the other
        self._stopped = asyncio.Event()
        self._failed = False  # the application sent a failed event
        self._ended = False  # by an exception
        self._exiting = False  # by one that ends the process
        self._task = None

    async def startup(self):
        """Returns whether the application may be served."""
        if self._mode == "off":
            return True
        self._log.info("Waiting for application startup.")
        self._events.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.get_running_loop().create_task(self._run(), name="goasgi lifespan")
        await self._started.wait()
        if self._failed or self._exiting or self._ended and self._mode == "on":
            return False
        self._log.info("Application startup complete.")
        return True

    async def shutdown(self):
        """Returns whether the shutdown went well."""
        if self._task is None or self._ended:
            return True
        self._log.info("Waiting for application shutdown.")
        self._events.put_nowait({"type": "lifespan.shutdown"})
        await self._stopped.wait()
        if self._failed or self._ended:
            self._log.error("Application shutdown failed. Exiting.")
            return False
        self._log.info("Application shutdown complete.")
        return True

    async def _run(self):
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._events.get, self._send)
        except (SystemExit, KeyboardInterrupt) as exc:
            self._ended = self._exiting = True
            self._exit(exc)
        except asyncio.CancelledError:
            self._ended = True
            raise
        except BaseException as exc:
            self._ended = True
            if self._failed:
                pass  # what it had to say came with the failed event
            elif self._mode == "auto" and not self._started.is_set():
                self._log.info("ASGI 'lifespan' protocol appears unsupported.")
                self._log.debug(f"It raised {exc!r} before startup was complete.")
            else:
                self._log.error("Exception in 'lifespan' protocol", exc)
        finally:
            self._started.set()
            self._stopped.set()

    async def _send(self, event):
        kind = event["type"]
        if kind in ("lifespan.startup.complete", "lifespan.startup.failed"):
            legal = not self._started.is_set()
            done = self._started
        elif kind in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            legal = self._started.is_set() and not self._stopped.is_set()
            done = self._stopped
        else:
            raise RuntimeError(f"Expected a lifespan event of startup or shutdown, but got '{kind}'.")
        if not legal:
            raise RuntimeError(f"Got invalid state transition on lifespan protocol: '{kind}'.")
        if kind.endswith(".failed"):
            self._failed = True
            if message := event.get("message"):
                self._log.error(str(message))
        done.set()
