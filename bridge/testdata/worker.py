"""The application's end of TestPythonWorker, on the three descriptors that it inherited."""

import asyncio
import sys

from goasgi import _bridge

memory, worker, front = map(int, sys.argv[1:4])
names = sys.argv[4].split(",")


async def app(scope, receive, send):
    status = int(scope["path"].split("/")[1] or 200)
    headers = [(b"x-query", scope["query_string"])] + [pair for pair in scope["headers"] if pair[0] == b"x-echo"]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if scope["path"].endswith("/download"):
        for i in range(64):
            await send({"type": "http.response.body", "body": bytes([i]) * 20011, "more_body": True})
        await send({"type": "http.response.body"})
        return
    if scope["path"].endswith("/wait"):
        await send({"type": "http.response.body", "body": b"waiting", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        try:
            await send({"type": "http.response.body", "body": b"more"})
        except OSError:
            link.post(_bridge.LOG, 30, "client left")
        return
    if scope["path"].endswith("/raise"):
        raise ValueError("raised")
    while (event := await receive())["type"] == "http.request":
        await send({"type": "http.response.body", "body": event["body"], "more_body": event["more_body"]})
        if not event["more_body"]:
            return


def report(exc, scope_type, text):
    link.post(_bridge.LOG, 40, f"{scope_type}: {exc or text}")


async def main():
    stop = asyncio.Event()

    def control(kind, value):
        if kind == _bridge.SIGNAL:
            link.post(_bridge.LOG, value, "signal")
        else:
            stop.set()

    loop = asyncio.get_running_loop()
    link.start(loop, app, None, "", True, False, report, control)
    loop.add_reader(link.fileno(), link.drain)
    link.post(_bridge.STARTED, 0, "CPython")
    await stop.wait()
    loop.remove_reader(link.fileno())


link = _bridge.attach(memory, worker, front, names)
asyncio.run(main())
link.post(_bridge.STOPPED, 3, "")
link.close()
