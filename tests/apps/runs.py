"""A program that runs the server itself: runs.py WAY PORT."""

import asyncio
import multiprocessing
import signal
import sys
import threading

import goasgi


async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = b"run"
    if scope["path"] == "/spawn":
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        child = context.Process(target=queue_up, args=(queue,))
        child.start()
        body = await asyncio.to_thread(queue.get, True, 30)
        child.join()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def queue_up(queue):
    queue.put(b"spawned")


def with_handlers(port):
    over = threading.Event()

    def own(number, frame):
        print("own", signal.Signals(number).name, "handler", flush=True)

    signal.signal(signal.SIGTERM, own)
    signal.signal(signal.SIGINT, own)
    signal.signal(signal.SIGUSR1, lambda *_: over.set())
    goasgi.run(app, port=port)
    print("returned", flush=True)
    same = signal.getsignal(signal.SIGTERM) is own and signal.getsignal(signal.SIGINT) is own
    print("handlers are the same:", same, flush=True)
    while not over.wait(0.1):
        pass


if __name__ == "__main__":
    way, port = sys.argv[1], int(sys.argv[2])
    if way == "import_string":
        goasgi.run("runs:app", port=port)
    elif way in ("application_object", "spawns"):
        goasgi.run(app, port=port)
    elif way == "handlers":
        with_handlers(port)
    elif way == "settings":
        goasgi.run("runs:app", port=port, access_log=False, header=["X-From: settings"])
    elif way == "fails":
        sys.exit(goasgi.run("no_such_module:app", port=port))
