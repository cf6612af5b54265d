"""Says which event loop it runs on, and uses what a loop is good for."""

import asyncio
import socket
import sys
import threading

from respond import respond, routes


async def name(scope, receive, send):
    await respond(send, type(asyncio.get_running_loop()).__module__)


async def features(scope, receive, send):
    loop = asyncio.get_running_loop()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print('from a child')", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output == b"from a child\n" and process.returncode == 0

    async def echo(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"ping\n")
        assert await reader.readline() == b"ping\n"
        writer.close()

    future = loop.create_future()
    threading.Thread(target=loop.call_soon_threadsafe, args=(future.set_result, "threadsafe")).start()
    assert await future == "threadsafe"
    assert await loop.run_in_executor(None, lambda: 42) == 42
    assert await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    before = loop.time()
    await asyncio.sleep(0.05)
    assert 0.04 < loop.time() - before < 5
    await respond(send, "fine")


async def generators(scope, receive, send):
    """An asynchronous generator that is left behind is closed by the loop."""

    async def endless():
        try:
            while True:
                yield 1
        finally:
            print("generator closed", flush=True)

    kept = endless()
    async for _ in kept:
        break
    LEFT.append(kept)
    await respond(send, "left")


LEFT = []
app = routes(globals())
