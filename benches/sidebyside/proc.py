"""Starting and ending programs, and what /proc says of a process and all its descendants."""

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time

TICK = os.sysconf("SC_CLK_TCK")
_libc = ctypes.CDLL(None, use_errno=True)
_running = []


class Failed(Exception):
    """The benchmark cannot go on with this contender; the text says why."""


def listening_socket():
    """A socket on a port of the kernel's choice that a child inherits: nobody can take the port in between."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(4096)
    # The child shares this flag. nginx takes an inherited socket to be non-blocking already, and a worker that lost the race for a
    # connection would sleep in accept() with all its other connections.
    sock.setblocking(False)
    return sock


def _in_child():
    _libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: whoever kills the benchmark ends its children too


def start(argv, log, env=None, fds=()):
    """Starts a program in a session of its own (a Ctrl-C reaches the benchmark alone, which then ends it). Output goes to `log`."""
    with open(log, "wb") as out:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **(env or {})},
                pass_fds=fds,
                start_new_session=True,
                preexec_fn=_in_child,
            )
        except OSError as error:
            raise Failed(f"{argv[0]}: {error.strerror}") from error
    process.log = log
    _running.append(process)
    return process


def end(process):
    """SIGTERM, five seconds, then SIGKILL to what is left of its own session."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            print(f"note: {process.args[0]} did not end within 5 s of SIGTERM", file=sys.stderr)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    if process in _running:
        _running.remove(process)


def end_all():
    """Ends everything that was started, last first."""
    for process in reversed(_running[:]):
        end(process)


def tail(process, lines=5):
    """The last lines that a program printed."""
    with open(process.log, errors="replace") as log:
        return "".join(log.readlines()[-lines:]).strip()


def announced_port(process, not_these, seconds=10):
    """The port of the first 127.0.0.1:PORT in what the program prints that is not its upstream's."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended = process.poll() is not None
        with open(process.log, errors="replace") as log:
            text = log.read()
        for port in re.findall(r"127\.0\.0\.1:(\d+)\b", text[: text.rfind("\n") + 1]):
            if int(port) not in not_these and int(port) != 0:
                return int(port)
        if ended:
            raise Failed(f"{process.args[0]} ended with {process.returncode}: {tail(process)}")
        time.sleep(0.02)
    raise Failed(f"{process.args[0]} named no address within {seconds} s: {tail(process)}")


def tree(root):
    """The process and its descendants."""
    found = []
    todo = [root]
    while todo:
        pid = todo.pop()
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as children:
                    todo.extend(int(child) for child in children.read().split())
        except FileNotFoundError:
            continue
        found.append(pid)
    return found


def cpu_seconds(root):
    """User and system seconds of the whole tree: all threads, dead ones too, and children that were waited for."""
    user = system = 0
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        user += int(fields[11]) + int(fields[13])
        system += int(fields[12]) + int(fields[14])
    return user / TICK, system / TICK


def settled_cpu_seconds(root, patience=3.0):
    """CPU seconds once they stand still: work that a proxy puts off until the traffic has ended is its work all the same."""
    until = time.monotonic() + patience
    last = cpu_seconds(root)
    while time.monotonic() < until:
        time.sleep(0.15)
        now = cpu_seconds(root)
        if now == last:
            break
        last = now
    return last


def resident_bytes(root):
    """Resident memory of the whole tree. smaps_rollup counts pages; the VmRSS of status lags behind by some."""
    total = 0
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                total += sum(int(line.split()[1]) for line in rollup if line.startswith("Rss:")) * 1024
        except OSError as error:
            raise Failed(f"process {pid} ended while its memory was read") from error
    return total


def machine_seconds():
    """All cores: seconds in user and system mode, and in all modes together. Interrupt time belongs to no process and is left out."""
    with open("/proc/stat") as stat:
        fields = [int(field) for field in stat.readline().split()[1:9]]
    return sum(fields[:3]) / TICK, sum(fields) / TICK
