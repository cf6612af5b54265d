"""Measures goasgi beside its peers: one worker each, access log off, loopback.

Rounds are interleaved, so that a noisy minute hits everyone; a figure is the
median over the rounds. `CPU` is the server's own CPU time for a request, of all
its processes, the figure that other load on the machine disturbs least.

The table is in Markdown. ARGS="-r 7 -d 5" makes more and longer rounds.
"""

import argparse
import os
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
CASES = {"bare ASGI": ("apps:hello", "/"), "FastAPI": ("apps:fastapi", "/3?q=abc")}
SERVERS = {
    "goasgi": "goasgi {app} --port {port} --no-access-log --log-level warning",
    "granian": "granian --interface asgi {app} --port {port} --log-level warning",
    "uvicorn": "uvicorn {app} --port {port} --no-access-log --log-level warning",
    "hypercorn": "hypercorn {app} -b 127.0.0.1:{port} -k uvloop",
}


def processes(pid):
    """pid and its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from processes(int(child))


def cpu_seconds(pid):
    ticks = 0
    for process in processes(pid):
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def wait_ready(process, port):
    for _ in range(3000):
        if process.poll() is not None:
            sys.exit(f"compare.py: {process.args[0]} ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    sys.exit(f"compare.py: {process.args[0]} did not listen within 30 s")


def wrk(url, seconds):
    """Returns requests a second and their number."""
    out = subprocess.run(["wrk", "-t1", "-c64", f"-d{seconds}", url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"compare.py: {url} was answered with errors:\n{out}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), int(re.search(r"(\d+) requests in", out)[1])


def measure(server, app, path, seconds):
    """One round: (requests a second, CPU microseconds a request)."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    argv = SERVERS[server].format(app=app, port=port).split()
    argv[0] = str(BIN / argv[0])
    process = subprocess.Popen(argv, cwd=HERE, start_new_session=True)
    try:
        wait_ready(process, port)
        url = f"http://127.0.0.1:{port}{path}"
        wrk(url, 1)
        before = cpu_seconds(process.pid)
        rate, count = wrk(url, seconds)
        return rate, (cpu_seconds(process.pid) - before) / count * 1e6
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-r", "--rounds", type=int, default=5, help="default %(default)s")
    parser.add_argument("-d", "--seconds", type=int, default=3, help="of each round; default %(default)s")
    args = parser.parse_args()
    print(f"CPython {platform.python_version()}, {os.cpu_count()} cores shared with wrk, 64 connections\n")
    print("| | " + " | ".join(f"{case}, requests/s | CPU a request" for case in CASES) + " |")
    print("|---" * (1 + 2 * len(CASES)) + "|")
    rounds = {(server, case): [] for server in SERVERS for case in CASES}
    for case, (app, path) in CASES.items():
        for _ in range(args.rounds):
            for server in SERVERS:
                rounds[server, case].append(measure(server, app, path, args.seconds))
    for server in SERVERS:
        cells = []
        for case in CASES:
            rate, cpu = (statistics.median(column) for column in zip(*rounds[server, case], strict=True))
            cells.append(f"{rate:,.0f} | {cpu:.1f} µs")
        print(f"| {server} | " + " | ".join(cells) + " |")


main()
