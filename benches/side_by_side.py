#!/usr/bin/env python3
"""authtap, a bare relay, nginx and HAProxy in front of one nginx backend, side by side: `make bench`. See benches/README.md."""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from sidebyside import load, proc, table
from sidebyside.contenders import TLS_CAPABLE, Contenders
from sidebyside.rig import Rig, descriptor_limit

CONTENDERS = ["authtap", "bare", "nginx", "haproxy", "haproxy-tcp"]
WORKLOADS = [*load.WORKLOADS, "idle", "idle-tls"]


def main():
    options = arguments()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    for program in ("wrk", "nginx", "haproxy", "openssl"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed: run benches/install.sh")
    for name, path in (("authtap", options.authtap), ("bare", options.bare)):
        if name in options.contenders and not os.access(path, os.X_OK):
            sys.exit(f"{path} is not there: cargo build --release --bin authtap --example bare_relay")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))

    folder = tempfile.mkdtemp(prefix="authtap-bench-")
    try:
        outcome = Bench(options, folder).run()
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        outcome = 130
    except proc.Failed as error:
        print(f"the benchmark cannot start: {error}", file=sys.stderr)
        outcome = 1
    finally:
        proc.end_all()
        if options.keep:
            print(f"kept {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(outcome)


def arguments():
    built = os.environ.get("CARGO_TARGET_DIR") or os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "target")

    def names(known):
        def parse(text):
            chosen = text.split(",")
            for name in chosen:
                if name not in known:
                    raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
            return [name for name in known if name in chosen]

        return parse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each workload (default 5; idle: at most 3)")
    parser.add_argument("--seconds", type=int, default=3, help="seconds of load a round (default 3)")
    parser.add_argument("--only", type=names(WORKLOADS), default=WORKLOADS, metavar="A,B", help=f"workloads, of {', '.join(WORKLOADS)}")
    parser.add_argument("--contenders", type=names(CONTENDERS), default=CONTENDERS, metavar="A,B", help=f"of {', '.join(CONTENDERS)}")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of every contender (default: one a core)")
    parser.add_argument("--idle", type=int, default=3000, metavar="N", help="idle connections (default 3000)")
    parser.add_argument("--authtap", default=os.path.join(built, "release", "authtap"), metavar="PATH")
    parser.add_argument("--authtap-arg", action="append", default=[], metavar="ARG", help="one more argument for `authtap run`; repeatable")
    parser.add_argument("--bare", default=os.path.join(built, "release", "examples", "bare_relay"), metavar="PATH")
    parser.add_argument("--json", metavar="FILE", help="write every round's numbers there")
    parser.add_argument("--quick", action="store_true", help="a smoke run: one round of one second, 300 idle connections")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder with configurations and logs")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.idle = 1, 1, 300
    if min(options.rounds, options.seconds, options.threads, options.idle) < 1:
        parser.error("--rounds, --seconds, --threads and --idle are at least 1")
    return options


class Bench:
    """One run: the rig, the rounds, the tables."""

    def __init__(self, options, folder):
        self.options = options
        self.load_at_start = os.getloadavg()[0]
        self.rig = Rig(folder, descriptor_limit())
        self.contenders = Contenders(self.rig, options.threads, options.authtap, options.bare, options.authtap_arg)
        self.failures = []
        self.results = {}
        self.gaps = {}

    def run(self):
        for workload in self.options.only:
            self._workload(workload)
        report = self._report()
        print("\n".join(table.fit(report)))
        if self.options.json:
            self._write_json(report)
        wrong = self.failures or any(one and one.get("wrong") for c in self.results.values() for r in c.values() for one in r)
        return 1 if wrong else 0

    def _workload(self, workload):
        """All contenders take turns in each round, and each round another one begins."""
        idle = workload.startswith("idle")
        tls = workload == "idle-tls" if idle else load.WORKLOADS[workload][2]
        names = [name for name in self.options.contenders if not tls or name in TLS_CAPABLE]
        rounds = min(self.options.rounds, 3) if idle else self.options.rounds
        self.results[workload] = {name: [] for name in names}
        for number in range(rounds):
            turn = number % max(1, len(names))
            for name in names[turn:] + names[:turn]:
                _progress(f"{workload}, round {number + 1} of {rounds}: {name}")
                self.results[workload][name].append(self._one(workload, name, tls, idle))
        _progress("")

    def _one(self, workload, name, tls, idle):
        """One contender's turn; None when it gave no number."""
        process = None
        try:
            process, port = self.contenders.start(name, tls)
            if idle:
                return load.idle(self.rig, process, port, tls, self._idle_connections())
            return load.drive(self.rig, workload, process, port, self.options.seconds)
        except proc.Failed as error:
            self.failures.append(f"FAILED {workload}, {name}: {error}")
            return None
        finally:
            if process is not None:
                proc.end(process)
            if name == "authtap":
                self.gaps[workload] = self.gaps.get(workload, 0) + self.contenders.gaps()

    def _idle_connections(self):
        return min(self.options.idle, self.rig.connections - 512)

    def _report(self):
        lines = []
        for workload, results in self.results.items():
            shape = table.idle_table if workload.startswith("idle") else table.workload_table
            lines += ["", *shape(workload, results)]
        judged = table.verdicts(self.results)
        if judged:
            lines += ["", "Targets (issue 2), as medians of the rounds' ratios:", *judged]
        busy = ""
        if self.load_at_start > 0.5:
            busy = f"the machine was busy at the start (load {self.load_at_start:.1f}): measure again on a quiet one"
        notes = table.notes(self.results, self.failures, self.gaps, busy)
        if notes:
            lines += ["", "Notes:", *("  " + note for note in notes)]
        o = self.options
        lines += ["", f"{o.rounds} rounds of {o.seconds} s; {o.threads} threads each; medians; ± is half the range of the CPU cost"]
        return lines + [machine_line()]

    def _write_json(self, report):
        everything = {
            "machine": machine_line(),
            "options": {name: value for name, value in vars(self.options).items()},
            "load_at_start": self.load_at_start,
            "results": self.results,
            "gaps": self.gaps,
            "failures": self.failures,
            "report": report,
        }
        with open(self.options.json, "w") as file:
            json.dump(everything, file, indent=1)


def machine_line():
    with open("/proc/cpuinfo") as cpuinfo:
        model = re.search(r"model name\s*: (.*)", cpuinfo.read())

    def version(*argv):
        done = subprocess.run(argv, capture_output=True, text=True)
        found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
        return found[0] if found else "?"

    return (
        f"{datetime.date.today()}; {os.cpu_count()} cores, {model[1] if model else platform.machine()}, Linux {platform.release()}; "
        f"nginx {version('nginx', '-v')}, HAProxy {version('haproxy', '-v')}, wrk {version('wrk', '-v')}"
    )


def _progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
