"""The table of what authtap found on real parts: printed, written to docs/accuracy.md, or compared with it.

usage: accuracy.py clear     forgets the rows of earlier runs
       accuracy.py           prints the table of the last run, and fails where docs/accuracy.md says something else
       accuracy.py write     writes docs/accuracy.md

The rows come from tests/real/ledger.rs, one file per scenario in the target folder. Versions are asked of the programs here.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/accuracy.md"
VENV = ROOT / "tests/rig/.venv/bin/python"

# How each part says its version. A part of the rig that is not here is an error, below.
PACKAGE = ["dpkg-query", "-W", "-f=${Version}"]
PYTHON = [VENV, "-c", "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"]
PARTS = {
    "Apache": [["apache2", "-v"], [*PACKAGE, "libapache2-mod-auth-gssapi"], [*PACKAGE, "gss-ntlmssp"]],
    "Apache mod_proxy": [["apache2", "-v"]],
    "HAProxy": [["haproxy", "-v"]],
    "NTLM server": [[*PYTHON, "pyspnego"]],
    "curl": [["curl", "--version"]],
    "nginx": [["nginx", "-v"]],
    "openssl s_server": [["openssl", "version"]],
    "pyspnego": [[*PYTHON, "pyspnego"]],
    "relay": [["python3", "--version"]],
    "requests": [[*PYTHON, "requests"]],
    "requests-gssapi": [[*PYTHON, "requests-gssapi"]],
    "requests-ntlm": [[*PYTHON, "requests-ntlm"]],
    "web API": [["python3", "--version"]],
}
# What else has a say, and what captures and reads.
ALWAYS = {
    "MIT Kerberos": [["klist", "-V"]],
    "faketime": [[*PACKAGE, "faketime"]],
    "tcpdump": [["tcpdump", "--version"]],
}
WHAT = {
    "Apache": "Apache, mod_auth_gssapi, gss-ntlmssp",
    "NTLM server": "`ntlm_server.py` over pyspnego",
    "pyspnego": "pyspnego, one leg at a time (`stepper.py`)",
    "relay": "`recorder.py`, which passes bytes on as they come, on Python",
    "web API": "`bearer_server.py` on Python",
}


def target():
    said = subprocess.run(
        ["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"], cwd=ROOT, check=True, capture_output=True
    )
    return pathlib.Path(json.loads(said.stdout)["target_directory"]) / "tmp/accuracy"


def version(commands):
    found = []
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        said = (done.stdout + done.stderr).strip().splitlines()
        if done.returncode or not said:
            sys.exit(f"accuracy: {command} did not say its version: {said}")
        number = re.search(r"\d+(\.\d+)+\S*", said[0])
        found.append(number[0] if number else said[0])
    return ", ".join(found)


def parts_of(rows):
    named = {part for row in rows for part in re.split(r" → | and |, | or |\d+ × ", row["way"]) if part}
    named.discard("authtap")
    unknown = named - PARTS.keys()
    if unknown:
        sys.exit(f"accuracy: how do these parts say their versions? Tell PARTS: {sorted(unknown)}")
    return sorted(named, key=str.lower)


def verdict(line):
    """`observed slug under root on [1, 2]` for the page."""
    match = re.fullmatch(r"(\w+) (\S+)(?: under (\S+))?(?: on \[(.*)\])?", line)
    basis, slug, root, numbers = match.groups()
    text = f"`{slug}` {basis}"
    if numbers:
        text += f", on {numbers}"
    return text + (f", under `{root}`" if root else "")


def verdicts(lines):
    return "; ".join(verdict(line) for line in lines) or "nothing"


def found(row, view):
    wanted = row["expected"] if view == "live" else row[f"{view}_expected"]
    if row[view] != wanted:
        return "**" + verdicts(row[view]) + "**"
    if view != "live" and not row["readable"]:
        return "nothing: TLS without keys"
    if view == "live" or (view == "link" and row[view] == row["live"]):
        return "so"
    roots = [line.split(" on ")[0] for line in row["live"] if " under " not in line]
    return "so" if view == "all" and row[view] == roots else verdicts(row[view])


def notes(row):
    return " ".join([f"Short of it: {row['short_of']}."] * bool(row["short_of"]) + [f"{text}." for text in row["differs"]])


def table(rows):
    lines = [
        "| scenario | from the client to the server | expected | live | from its packets | from all links | notes |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row["scenario"], row["way"].replace("authtap", "**authtap**"), verdicts(row["expected"])]
        cells += [found(row, view) for view in ("live", "link", "all")]
        lines.append("| " + " | ".join([*cells, notes(row)]) + " |")
    return "\n".join(lines)


def sums(rows):
    return (
        f"{len(rows)} scenarios: {sum(row['live'] == row['expected'] for row in rows)} are told live as expected, "
        f"{sum(row['link'] == row['link_expected'] for row in rows)} from the packets of the link that authtap saw "
        f"({sum(row['link'] == row['live'] for row in rows)} of them the same as live), "
        f"{sum(row['all'] == row['all_expected'] for row in rows)} from those of all links. "
        f"{sum(bool(row['short_of']) for row in rows)} fall short of what one would wish."
    )


INTRODUCTION = """\
# What authtap finds on real parts

Each line is a scenario of `tests/real`: servers, proxies and clients that other people wrote, one thing broken between them, and
what authtap ought to say. `make test` runs all of them, prints this table and compares it with this page; `make accuracy`
writes the page. `docs/testing.md` says how the scenarios work.

- *expected*: the findings above `info` with their basis, their connections in authtap's numbers, and what they stand under;
  nothing else above `info` may be told. Two findings that are true of the rig are left out: `proxy-on-server-host` and
  `proxy-changes-host`, for all is on one machine and on ports of its own.
- *live*: what `authtap run` told.
- *from its packets*: what `authtap report` told of a capture that tcpdump took of the same run, of the link in front of authtap
  alone; over TLS opened with the keys of the client (`--keylog`), and where that hop tells none, of the link behind authtap
  with the server's. Severities are the same as live.
- *from all links*: the same from a capture of all links, before and behind authtap and the other hops. The causes are
  compared, without their numbers; how they show further on may differ from link to link.
- *so*: as the column *expected* says. What a capture tells otherwise by its nature is written out, with the reason in the last
  column; what is not as it should be stands there in bold, and fails `make test`.

What this does not prove: there is no real IIS here and no Windows client. What only those do (substatus, pages of HTTP.sys, kernel
mode, Windows' own errors in Kerberos, its HTTP/2) comes from the simulator and from published captures, in `tests/it`. All is on one
machine, so nothing is lost or late on the way. Findings that wait for a silence are proved by the simulator alone.
"""


def page(rows, parts):
    versions = ["| part | version, where this page was written |", "|---|---|"]
    for part, commands in [*((part, PARTS[part]) for part in parts), *ALWAYS.items()]:
        versions.append(f"| {WHAT.get(part, part)} | {version(commands)} |")
    return f"{INTRODUCTION}\n{sums(rows)}\n\n{table(rows)}\n\n## The parts\n\n" + "\n".join(versions) + "\n"


def printed(rows, parts):
    for row in rows:
        print(f"{row['scenario']}  [{row['way']}]")
        for name, text in [
            ("expected", verdicts(row["expected"])),
            ("live", found(row, "live")),
            ("packets", found(row, "link")),
            ("all links", found(row, "all")),
            ("note", notes(row)),
        ]:
            if text:
                print(textwrap.fill(text, 140, initial_indent=f"    {name:10}", subsequent_indent=" " * 14))
    for part, commands in [*((part, PARTS[part]) for part in parts), *ALWAYS.items()]:
        print(f"{WHAT.get(part, part)}: {version(commands)}")
    print(sums(rows))


def without_versions(text):
    return text.partition("\n## The parts\n")[0]


def main():
    action = sys.argv[1] if len(sys.argv) > 1 else "compare"
    folder = target()
    if action == "clear":
        shutil.rmtree(folder, ignore_errors=True)
        return
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    if not rows:
        sys.exit("accuracy: no rows; run `cargo test --features real-rig --test real` first")
    rows.sort(key=lambda row: row["scenario"].lower())
    parts = parts_of(rows)
    if action == "write":
        PAGE.write_text(page(rows, parts), encoding="utf-8")
        print(f"accuracy: {PAGE.relative_to(ROOT)}: {sums(rows)}")
        return
    printed(rows, parts)
    wanted, kept = without_versions(page(rows, parts)), without_versions(PAGE.read_text(encoding="utf-8"))
    if wanted != kept:
        wanted, kept = set(wanted.splitlines()), set(kept.splitlines())
        for line in sorted(kept - wanted):
            print(f"- {line}")
        for line in sorted(wanted - kept):
            print(f"+ {line}")
        sys.exit("accuracy: docs/accuracy.md says otherwise than this run (above); `make accuracy` writes it")


if __name__ == "__main__":
    main()
