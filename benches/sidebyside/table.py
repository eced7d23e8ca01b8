"""From the rounds' numbers to what is printed. No measuring here."""

import textwrap
from statistics import median

from .load import CONNECTIONS, WORKLOADS

WIDTH = 100
ABOUT = {
    "small": "200-byte answers",
    "big": "1 MiB answers",
    "401": "every request an NTLM leg, every answer a 401 (wrong passwords)",
    "logon": "every request an NTLM leg, every second answer a 401 (logons that succeed)",
    "small64": "200-byte answers, a wrk thread a connection: the plain cost for the next two",
    "tls-small": "200-byte answers, TLS 1.3 on both sides",
    "tls-big": "1 MiB answers, TLS 1.3 on both sides",
    "idle": "memory of idle connections",
    "idle-tls": "memory of idle connections, TLS 1.3 on both sides",
}


def fit(lines):
    """Breaks what is longer than a line, which only prose is."""
    for line in lines:
        if len(line) <= WIDTH:
            yield line
        else:
            indent = " " * (len(line) - len(line.lstrip()) + 2)
            yield from textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def middle(rounds, key):
    return median(one[key] for one in rounds)


def ratio(ours, theirs, key):
    """The median of the rounds' ratios: a round's contenders ran within the same minute, so a drifting machine moves both."""
    both = [a[key] / b[key] for a, b in zip(ours, theirs) if a is not None and b is not None and b[key] > 0]
    return median(both) if both else None


def taken(rounds):
    """The rounds that gave a number."""
    return [one for one in rounds or [] if one is not None]


def workload_table(workload, results):
    """Lines for one wrk workload. `results` is contender → list of rounds (None for a round that failed)."""
    ours = results.get("authtap") or []
    lines = [f"{workload}: {ABOUT[workload]}; {CONNECTIONS} connections"]
    lines.append(
        f"  {'':12}{'':>11}{'CPU µs a request':>18}{'':>9}{'':>8}{'':>10}{'':>6}{'authtap ÷ this':>24}".rstrip()
    )
    lines.append(
        f"  {'contender':12}{'requests/s':>11}{'total':>9}{'user':>9}{'p50 ms':>9}{'p99 ms':>8}{'MB/s':>10}{'±':>6}{'CPU':>9}{'requests/s':>15}"
    )
    for name, rounds in results.items():
        good = taken(rounds)
        if not good:
            lines.append(f"  {name:12}  no number: see the notes")
            continue
        costs = [one["cpu_us"] for one in good]
        spread = (max(costs) - min(costs)) / 2 / median(costs) * 100
        ratios = [ratio(ours, rounds, key) if name != "authtap" else None for key in ("cpu_us", "per_second")]
        lines.append(
            f"  {name:12}{middle(good, 'per_second'):11,.0f}{median(costs):9.1f}{middle(good, 'cpu_user_us'):9.1f}"
            f"{middle(good, 'p50_ms'):9.2f}{middle(good, 'p99_ms'):8.2f}{middle(good, 'megabytes_per_second'):10.1f}{spread:5.0f}%"
            + "".join(f"{value:{width}.2f}" if value else f"{'–':>{width}}" for value, width in zip(ratios, (9, 15)))
        )
    return lines


def idle_table(workload, results):
    lines = []
    for name, rounds in results.items():
        good = taken(rounds)
        if not good:
            lines.append(f"  {name:12}  no number: see the notes")
            continue
        values = [one["bytes_a_connection"] / 1024 for one in good]
        against = ratio(results.get("authtap") or [], rounds, "bytes_a_connection") if name != "authtap" else None
        lines.append(
            f"  {name:12}{median(values):18.2f}{min(values):9.2f}–{max(values):<9.2f}{middle(good, 'bytes_before') / 2**20:14.1f}"
            + (f"{against:16.2f}" if against else f"{'–':>16}")
        )
    count = next((one["connections"] for rounds in results.values() for one in taken(rounds)), 0)
    return [
        f"{workload}: {ABOUT[workload]}; {count:,} of them, each after one request",
        f"  {'contender':12}{'KiB a connection':>18}{'least–most':>16}{'MiB at start':>17}{'authtap ÷ this':>16}",
        *lines,
    ]


def verdicts(results):
    """Compares with what issue 2 asks for. Information, not a test."""

    def against(workload, peer, key):
        rounds = results.get(workload, {})
        return ratio(rounds.get("authtap") or [], rounds.get(peer) or [], key)

    def against_plain(workload, peer="authtap"):
        """The same contender with the same load, but plain requests."""
        return ratio(results.get(workload, {}).get(peer) or [], results.get("small64", {}).get(peer) or [], "cpu_us")

    lines = []

    def line(what, value, limit, at_least=False, unit=""):
        if value is None:
            return
        met = value >= limit if at_least else value <= limit
        verdict = "target met" if met else f"missed by {abs(value - limit):.2f}{unit}"
        lines.append(f"  {what:60}{value:6.2f}{unit}  {'≥' if at_least else '≤'} {limit:.2f}{unit}  {verdict}")

    line("small answers: CPU a request, authtap ÷ nginx", against("small", "nginx", "cpu_us"), 0.8)
    line("small answers: CPU a request, authtap ÷ haproxy", against("small", "haproxy", "cpu_us"), 0.8)
    line("small answers: CPU a request, authtap ÷ bare relay", against("small", "bare", "cpu_us"), 1.15)
    for workload in ("401", "logon"):
        line(f"{workload}: CPU a request, authtap ÷ authtap with small64", against_plain(workload), 1.3)
    line("1 MiB answers: throughput, authtap ÷ haproxy", against("big", "haproxy", "megabytes_per_second"), 1.0, at_least=True)
    idle = taken(results.get("idle", {}).get("authtap"))
    if idle:
        line("idle: memory a plain connection", middle(idle, "bytes_a_connection") / 1024, 4, unit=" KiB")

    for workload in ("401", "logon"):
        parts = [
            ("bare relay ÷ bare relay with small64", against_plain(workload, "bare")),
            ("authtap ÷ bare relay", against(workload, "bare", "cpu_us")),
        ]
        parts = [f"{what} {value:.2f}" for what, value in parts if value]
        if parts:
            lines.append(f"  {workload}, for comparison: {'; '.join(parts)}")
    return lines


def notes(results, failures, gaps, machine_note):
    """What a reader must know before believing the tables."""
    lines = list(failures)
    for workload, contenders in results.items():
        if workload not in WORKLOADS:
            continue
        for name, rounds in contenders.items():
            for number, one in enumerate(rounds, 1):
                if one and one["wrong"]:
                    lines.append(f"WRONG {workload}, {name}, round {number}: {one['wrong']}")
                if one and one["errors"]:
                    lines.append(f"WRONG {workload}, {name}, round {number}: wrk counted errors {one['errors']}")
    for workload, count in gaps.items():
        if count:
            lines.append(f"{workload}: authtap's capture tells {count} gaps: its CPU is that of an observer that dropped some of its work")
    shares = [
        one["others_percent"] for w, c in results.items() if w in WORKLOADS for rounds in c.values() for one in taken(rounds)
    ]
    if shares and max(shares) > 5:
        lines.append(
            f"other programs took up to {max(shares):.0f} % of the machine (median {median(shares):.0f} %): "
            "requests/s and latency are theirs as much as the contenders'"
        )
    if machine_note:
        lines.append(machine_note)
    return lines
