"""The load: wrk for throughput, CPU and latency; plain sockets for the memory of idle connections. One call, one measurement."""

import json
import os
import resource
import socket
import subprocess
import time

from . import proc
from .rig import SMALL_BODY, client_context

CONNECTIONS = 64

# name → (kind of the script, path, TLS, which part of the answers is refused)
WORKLOADS = {
    "small": ("plain", "/small", False, 0),
    "big": ("plain", "/big", False, 0),
    "small64": ("plain", "/small", False, 0),
    "401": ("401", "/401/0", False, 1),
    "logon": ("logon", "/logon/0", False, 0.5),
    "tls-small": ("plain", "/small", True, 0),
    "tls-big": ("plain", "/big", True, 0),
}


def _wrk(rig, workload, port, seconds):
    kind, path, tls, _ = WORKLOADS[workload]
    threads = 1 if kind == "plain" and workload != "small64" else CONNECTIONS
    url = f"https://localhost:{port}{path}" if tls else f"http://127.0.0.1:{port}{path}"
    script = os.path.join(os.path.dirname(__file__), "load.lua")
    process = proc.start(
        ["wrk", f"-t{threads}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", script, url],
        rig.log("wrk"),
        env={"BENCH_KIND": kind, "BENCH_TOKENS": rig.path("tokens.lua"), "OPENSSL_CONF": rig.client_openssl},
    )
    try:
        process.wait(seconds + 60)
    except subprocess.TimeoutExpired as error:
        raise proc.Failed(f"wrk did not end {seconds + 60} s after its start") from error
    finally:
        proc.end(process)
    with open(process.log, errors="replace") as log:
        text = log.read()
    for line in text.splitlines():
        if line.startswith("BENCH "):
            return json.loads(line[6:])
    raise proc.Failed(f"wrk ended with {process.returncode}: {text.strip()[-300:]}")


def drive(rig, workload, process, port, seconds):
    """One round: a second of warming up, then the measurement."""
    _wrk(rig, workload, port, 1)
    proc.settled_cpu_seconds(process.pid)
    mine, backend, machine = _own_cpu(), proc.cpu_seconds(rig.backend.pid), proc.machine_seconds()
    before = proc.cpu_seconds(process.pid)
    answers = _wrk(rig, workload, port, seconds)
    after = proc.settled_cpu_seconds(process.pid)
    if process.poll() is not None:
        raise proc.Failed(f"it ended with {process.returncode} under load: {proc.tail(process)}")
    if not answers["requests"]:
        raise proc.Failed(f"not one answer in {seconds} s: {answers}")
    user, system = after[0] - before[0], after[1] - before[1]
    machine = [now - then for now, then in zip(proc.machine_seconds(), machine)]
    backend = sum(proc.cpu_seconds(rig.backend.pid)) - sum(backend)
    others = machine[0] - user - system - backend - (_own_cpu() - mine)
    duration = answers["seconds"]
    return {
        "requests": answers["requests"],
        "per_second": answers["requests"] / duration,
        "megabytes_per_second": answers["bytes"] / duration / 1e6,
        "cpu_us": (user + system) / answers["requests"] * 1e6,
        "cpu_user_us": user / answers["requests"] * 1e6,
        "p50_ms": answers["p50"] / 1e3,
        "p99_ms": answers["p99"] / 1e3,
        "errors": {name: answers[name] for name in ("connect", "read", "write", "timeout") if answers[name]},
        "wrong": _wrong(workload, answers),
        "others_percent": max(0.0, 100 * others / machine[1]),
    }


def _wrong(workload, answers):
    """Says what is wrong with the count of refusals, or nothing."""
    part = WORKLOADS[workload][3]
    expected = answers["requests"] * part
    slack = CONNECTIONS if 0 < part < 1 else 0  # each connection may end between two legs
    if abs(answers["status"] - expected) <= slack:
        return None
    return f"{answers['status']} of {answers['requests']} answers were 4xx or 5xx, expected {expected:.0f}"


def _own_cpu():
    """CPU seconds of this process and of the children it has waited for, which wrk is by then."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def idle(rig, process, port, tls, count):
    """Opens `count` connections that each make one request and then stay; returns what a connection adds to the proxy's memory."""
    context = client_context(rig) if tls else None
    time.sleep(0.3)
    before = proc.resident_bytes(process.pid)
    opened = []
    try:
        while len(opened) < count:
            batch = [_open(port, context) for _ in range(min(50, count - len(opened)))]
            opened += batch
            for sock in batch:
                sock.sendall(b"GET /small HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
            for sock in batch:
                _read_answer(sock, len(opened))
        time.sleep(1.5)
        after = proc.resident_bytes(process.pid)
        alive = sum(_still_open(sock) for sock in opened)
        if alive != count:
            raise proc.Failed(f"{count - alive} of {count} idle connections were closed")
    except OSError as error:
        raise proc.Failed(f"after {len(opened)} connections: {error!r}") from error
    finally:
        for sock in opened:
            sock.close()
    return {"connections": count, "bytes_before": before, "bytes_a_connection": (after - before) / count}


def _open(port, context):
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    if context is None:
        return sock
    return context.wrap_socket(sock, server_hostname="localhost")


def _read_answer(sock, number):
    answer = b""
    while not answer.endswith(b"\r\n\r\n" + SMALL_BODY.encode()):
        piece = sock.recv(4096)
        if not piece:
            raise proc.Failed(f"one of the first {number} connections was closed after {answer[:100]!r}")
        answer += piece


def _still_open(sock):
    sock.setblocking(False)
    try:
        return sock.recv(1) != b""
    except (BlockingIOError, OSError) as error:
        return isinstance(error, BlockingIOError) or type(error).__name__ == "SSLWantReadError"
