#!/usr/bin/env python3
"""Reading packet captures: authtap report and tshark on the same files: `make bench`. See benches/README.md."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from sidebyside.table import fit

# name, what it holds, the goal in MB/s of CPU time: 300 where nothing is HTTP, 150 where all is
KINDS = {
    "bulk": ("not HTTP, full segments", 300),
    "small": ("not HTTP, packets of 100 bytes", 300),
    "http": ("GETs answered with 4 KB", 150),
    "auth": ("every second request a 401, the others with Basic", 150),
    "ntlm": ("an NTLM logon and 4 requests a connection", 150),
    "hop": ("the same before and behind a hop", 150),
    "connections": ("challenged connections that never end", 150),
    "tls": ("TLS without keys", 300),
    "disorder": ("HTTP out of order, a packet missing in each answer", 150),
    "holes": ("connections with a hole, never ending", 300),
    "heads": ("connections with half a request head, never ending", 150),
    "unanswered": ("connections with unanswered requests, never ending", 150),
    "hellos": ("connections with half a TLS ClientHello, never ending", 300),
    "names": ("failed logons, each with long names of its own", 150),
}
LARGE = ("bulk", "http", "auth", "ntlm", "hop")
MOST_MEMORY = 500
TSHARK = "-n -Y ntlmssp||http.authorization -T fields -e frame.number -e tcp.stream -e ntlmssp.messagetype -e http.authorization".split()


def main():
    options = arguments()
    results, failed = [], False
    folder = tempfile.mkdtemp(prefix="authtap-captures-", dir=options.folder)
    try:
        for kind in options.only:
            megabytes = options.megabytes if kind in LARGE else max(1, options.megabytes // 4)
            results.append(measure(kind, megabytes, options, folder))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"the benchmark cannot go on: {error}", file=sys.stderr)
        failed = True
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(fit(report(results, options))))
    sys.exit(1 if failed else 0)


def arguments():
    built = os.environ.get("CARGO_TARGET_DIR") or os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "target")

    def kinds(text):
        for name in text.split(","):
            if name not in KINDS:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(KINDS)}")
        return text.split(",")

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", type=kinds, default=list(KINDS), metavar="A,B", help=f"kinds, of {', '.join(KINDS)}")
    parser.add_argument("--megabytes", type=int, default=1000, help=f"of {', '.join(LARGE)}; the others have a quarter (default 1000)")
    parser.add_argument("--tshark-megabytes", type=int, default=100, help="tshark reads files of at most this size (default 100; 0: no tshark)")
    parser.add_argument("--rounds", type=int, default=3, help="times that authtap reads each file; the best counts (default 3)")
    parser.add_argument("--authtap", default=os.path.join(built, "release", "authtap"), metavar="PATH")
    parser.add_argument("--captures", default=os.path.join(built, "release", "examples", "captures"), metavar="PATH")
    parser.add_argument("--folder", metavar="DIR", help="where the files lie while they are read (default: the system's temporary folder)")
    options = parser.parse_args()
    if min(options.rounds, options.megabytes) < 1:
        parser.error("--rounds and --megabytes are at least 1")
    for path in (options.authtap, options.captures):
        if not os.access(path, os.X_OK):
            sys.exit(f"{path} is not there: cargo build --release --bin authtap --example captures")
    if options.tshark_megabytes > 0 and shutil.which("tshark") is None:
        sys.exit("tshark is not installed: run benches/install.sh")
    return options


def measure(kind, megabytes, options, folder):
    """Both programs on files of one kind."""
    print(f"{kind}: {megabytes} MB", file=sys.stderr, flush=True)
    path = made(kind, megabytes, options, folder)
    authtap = best([run([options.authtap, "report", path], path) for _ in range(options.rounds)])
    tshark, sliced = None, False
    if options.tshark_megabytes > 0:
        if sliced := megabytes > options.tshark_megabytes:
            os.unlink(path)
            path = made(kind, options.tshark_megabytes, options, folder)
        tshark = run(["tshark", "-r", path, *TSHARK], path)
    os.unlink(path)
    return kind, megabytes, authtap, tshark, sliced


def made(kind, megabytes, options, folder):
    path = os.path.join(folder, f"{kind}.pcap")
    subprocess.run([options.captures, kind, str(megabytes), path], check=True)
    return path


def run(argv, path):
    """MB/s by wall and by CPU time (user and system, all threads), and the peak of resident memory in MB."""
    read_once(path)
    with open(os.devnull, "w") as nothing:
        began = time.monotonic()
        process = subprocess.Popen(argv, stdout=nothing, stderr=nothing)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    # 1: `authtap report` found something.
    if process.returncode not in (0, 1):
        raise subprocess.CalledProcessError(process.returncode, argv)
    size = os.path.getsize(path) / 1e6
    cpu = used.ru_utime + used.ru_stime
    return {"cpu": cpu, "rate": size / cpu, "wall": size / wall, "memory": used.ru_maxrss * 1024 / 1e6}


def read_once(path):
    """So that nobody waits for the disk."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def best(rounds):
    """The quickest round, with the largest memory of all."""
    return {**min(rounds, key=lambda one: one["cpu"]), "memory": max(one["memory"] for one in rounds)}


def report(results, options):
    lines = [
        "Reading captures: MB/s of CPU time (user and system), MB/s by the clock, peak memory",
        f"  {'':12}{'':>6}{'authtap':>9}{'':>8}{'':>9}{'':>9}{'tshark':>10}{'':>9}{'authtap ÷'.rjust(12)}",
        f"  {'capture':12}{'MB':>6}{'MB/s':>9}{'clock':>8}{'CPU s':>9}{'MB':>9}{'MB/s':>10}{'MB':>9}{'tshark'.rjust(12)}",
    ]
    misses = []
    for kind, megabytes, authtap, tshark, sliced in results:
        line = f"  {kind:12}{megabytes:6}{authtap['rate']:9.0f}{authtap['wall']:8.0f}{authtap['cpu']:9.2f}{authtap['memory']:9.0f}"
        if tshark is not None:
            line += f"{tshark['rate']:9.1f}{'*' if sliced else ' '}{tshark['memory']:9.0f}{authtap['rate'] / tshark['rate']:11.0f}×"
        lines.append(line)
        goal = KINDS[kind][1]
        if authtap["rate"] < goal:
            misses.append(f"  {kind}: {authtap['rate']:.0f} MB/s, and the goal is {goal}")
        if authtap["memory"] >= MOST_MEMORY:
            misses.append(f"  {kind}: {authtap['memory']:.0f} MB of memory, and the goal is under {MOST_MEMORY}")
    if any(sliced for *_, sliced in results):
        lines.append(f"  * tshark read {options.tshark_megabytes} MB of the same kind")
    lines += ["", *(f"  {kind}: {KINDS[kind][0]}" for kind, *_ in results), ""]
    lines += ["Goals that are missed:", *misses] if misses else ["All goals are met: 300 MB/s without HTTP, 150 MB/s of HTTP, under 500 MB."]
    load = os.getloadavg()[1]
    return [*lines, f"best of {options.rounds} rounds; {os.cpu_count()} cores, load {load:.1f}; tshark {version()}"]


def version():
    if shutil.which("tshark") is None:
        return "is not here"
    done = subprocess.run(["tshark", "--version"], capture_output=True, text=True)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout)
    return found[0] if found else "?"


if __name__ == "__main__":
    main()
