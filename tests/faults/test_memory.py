"""Byte credit, scaled down; tests/faults/memory.py does it in full."""

import memory


def test_slow_clients_do_not_grow_memory(serve, loop):
    server = serve("memory:app", "--no-access-log", "--loop", loop)
    figures = memory.measure(server, downloads=200, uploads=50)
    print(figures)
    # 250 connections with a window of 64 KiB each way hold 32 MiB at most, and the processes' own memory beside it.
    assert figures.peak - figures.idle < 100 << 20
    # An upload is stopped by the window and the socket's buffers, not by its end.
    assert figures.accepted / 50 < 20 << 20
    memory.leave(figures)
