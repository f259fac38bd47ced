#!/usr/bin/env python3
"""Builds and runs fuzz targets; scripts/fuzz calls it after it has configured the preset."""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/asan"
FOUND = ROOT / "build/fuzz"
MOST_FILES, MOST_BYTES = 200, 300_000  # of a corpus in the tree
# One input may take so long and so much, in seconds and MB: more is a find.
LIMITS = ["-timeout=10", "-rss_limit_mb=2560", "-max_len=4096"]
ENVIRONMENT = dict(os.environ, UBSAN_OPTIONS="print_stacktrace=1")
if os.access("/dev/shm", os.W_OK):  # the state directories of the target `store`
    ENVIRONMENT["TMPDIR"] = "/dev/shm"


def targets():
    return {path.stem: pathlib.Path(path.read_text().strip()) for path in sorted((BUILD / "targets").glob("*.corpus"))}


def binary(name):
    return BUILD / "targets" / f"{name}_fuzz"


def files(folder):
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def dictionary(corpus):
    """Words of a text format, beside the corpus: corpus/yaml.dict."""
    path = corpus.with_suffix(".dict")
    return [f"-dict={path}"] if path.exists() else []


def run(name, corpus, seconds):
    """One target for so long; a row of the table, and what to print about a crash."""
    found, crashes = FOUND / "corpus" / name, FOUND / "crashes" / name
    found.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(parents=True, exist_ok=True)
    if not files(corpus):
        return {"name": name, "crash": f"{name}: the corpus {corpus.relative_to(ROOT)} is empty or missing"}
    log = crashes / "log.txt"
    command = ["nice", binary(name), f"-max_total_time={seconds}", *LIMITS, *dictionary(corpus), "-print_final_stats=1",
               f"-artifact_prefix={crashes}/", found, corpus]
    begun = time.monotonic()
    with log.open("w") as out:
        status = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, env=ENVIRONMENT, cwd=crashes).returncode
    text = log.read_text(errors="replace")
    executions = int((re.findall(r"^#(\d+)", text, re.M) or ["0"])[-1])
    row = {
        "name": name,
        "executions": executions,
        "rate": executions / max(time.monotonic() - begun, 1e-3),
        "edges": int((re.findall(r" cov: (\d+)", text) or ["0"])[-1]),
        "corpus": len(files(corpus)),
        "found": len(files(found)),
    }
    if status != 0:
        row["crash"] = describe_crash(name, text, log)
    return row


def describe_crash(name, text, log):
    lines = [f"{name}: CRASH"]
    artifact = re.search(r"Test unit written to (\S+)", text)
    if artifact:
        path = pathlib.Path(artifact.group(1))
        data = path.read_bytes()
        lines += [f"input: {path} ({len(data)} bytes)", "hex: " + data[:256].hex() + (" …" if len(data) > 256 else ""),
                  f"again: {binary(name)} {path}"]
    else:
        lines.append("no input was written")
    begin = re.search(r"^.*(PROPERTY BROKEN|runtime error:|ERROR: |terminate called|SUMMARY:).*$", text, re.M)
    lines += text[begin.start():].splitlines()[:40] if begin else text.splitlines()[-40:]
    lines.append(f"whole log: {log}")
    return "\n  ".join(lines)


def keep(name, corpus):
    """A small set of inputs that reaches the same edges, out of the tree's and what was found. How
    often an edge is passed does not count: that would keep several times as many."""
    fresh = FOUND / "minimised" / name
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    corpus.mkdir(parents=True, exist_ok=True)
    # A file that reproduces a bug stays, whatever it adds: it has a name of its own (README.md).
    bugs = [path for path in files(corpus) if path.name.startswith("bug-")]
    others = FOUND / "corpus" / name
    others.mkdir(parents=True, exist_ok=True)
    subprocess.run([binary(name), "-merge=1", "-use_counters=0", *LIMITS, fresh, corpus, others], env=ENVIRONMENT, cwd=fresh.parent,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    chosen = sorted(files(fresh), key=lambda path: (path.stat().st_size, path.name))
    room, kept = MOST_BYTES - sum(path.stat().st_size for path in bugs), []
    for path in chosen[:MOST_FILES - len(bugs)]:
        room -= path.stat().st_size
        if room < 0:
            break
        kept.append(path)
    for path in files(corpus):
        if path not in bugs:
            path.unlink()
    for path in kept:
        shutil.copy(path, corpus / path.name[:16])
    print(f"{name}: {len(bugs) + len(kept)} files in {corpus.relative_to(ROOT)}, {len(chosen) - len(kept)} left out")


def print_table(rows):
    titles = ("target", "executions", "per second", "edges", "corpus", "found", "crash")
    cells = [titles] + [
        (row["name"], f"{row.get('executions', 0)}", f"{row.get('rate', 0):.0f}", f"{row.get('edges', 0)}",
         f"{row.get('corpus', 0)}", f"{row.get('found', 0)}", "CRASH" if "crash" in row else "-") for row in rows
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(titles))]
    for line in cells:
        print("  ".join(cell.ljust(widths[i]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(line)))


def main():
    parser = argparse.ArgumentParser(prog="scripts/fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets at a time")
    parser.add_argument("--keep", action="store_true", help="minimise into the corpora in the tree")
    parser.add_argument("--list", action="store_true", help="only name the targets")
    parser.add_argument("targets", nargs="*", help="default: all")
    arguments = parser.parse_args()
    known = targets()
    unknown = [name for name in arguments.targets if name not in known]
    if unknown:
        sys.exit(f"scripts/fuzz: no target {', '.join(unknown)}; there are {', '.join(known)}")
    if arguments.list:
        for name, corpus in known.items():
            print(f"{name:16} {len(files(corpus)):4} files in {corpus.relative_to(ROOT)}")
        return 0
    chosen = arguments.targets or list(known)
    # Ours, not an older build's: --target builds exactly these.
    if subprocess.run(["cmake", "--build", BUILD, "--target", *[f"{name}_fuzz" for name in chosen]]).returncode != 0:
        return 1
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        rows = list(pool.map(lambda name: run(name, known[name], arguments.seconds), chosen))
    for row in rows:
        if "crash" in row:
            print("\n" + row["crash"])
    print()
    print_table(rows)
    crashed = any("crash" in row for row in rows)
    if arguments.keep and not crashed:
        for name in chosen:
            keep(name, known[name])
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main())
