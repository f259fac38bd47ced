#!/usr/bin/env python3
"""Fails on an include against the design's arrows, and on a clock read or sleep outside the real clock.

The arrows (docs/architecture.md): main → rpc → {core, safety, store} → drivers/api ← drivers/<family>.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Folder → what it may include of ours; a file may always include its own folder. First match wins.
ALLOWED = [
    ("drivers/api", []),
    ("drivers/testing", ["drivers/api"]),
    ("drivers/all_drivers", ["drivers/"]),
    # Formats of files and lines that several families read; knows no family (ADR 0009).
    ("drivers/formats", ["drivers/api"]),
    ("drivers/*", ["drivers/api", "drivers/formats"]),
    ("daemon/bus", ["drivers/api"]),
    ("daemon/core", ["drivers/api"]),
    # Interfaces of the core that the store implements (ADR 0003).
    ("daemon/store", ["drivers/api", "daemon/core/store_api.h"]),
    ("daemon/safety", ["drivers/api", "daemon/core"]),
    # The rules it reads, and what is wrong with them (ADR 0010).
    ("daemon/config", ["drivers/api", "daemon/core/access.h", "daemon/core/safety_device.h",
                       "daemon/core/item_pattern.h", "daemon/safety/rules.h", "daemon/safety/rule_check.h"]),
    ("daemon/rpc", ["drivers/api", "daemon/core", "canhub/v1", "google/rpc"]),
    ("daemon/", [""]),
    # Its offline commands read the same files as the daemon does, by the same code.
    ("clients/canhubctl", ["canhub/v1", "google/rpc", "drivers/formats", "drivers/api/can_frame.h",
                           "daemon/config/loader.h", "daemon/wiring_replay.h", "drivers/all_drivers.h"]),
    ("tests/", [""]),
]
TEST_EXTRA = ["drivers/testing", "drivers/all_drivers.h", "daemon/core/step_thread.h", "daemon/core/real_clock.h"]
OURS = re.compile(r'^\s*#\s*include\s+"((?:drivers|daemon|clients|tests|canhub|google/rpc)/[^"]+)"')
CLOCK = re.compile(
    r"(steady_clock|system_clock|high_resolution_clock)::now|clock_gettime|gettimeofday|"
    r"\bsleep_for\b|\bsleep_until\b|\busleep\(|\bnanosleep\(|absl::Now|absl::SleepFor|\btime\(nullptr\)")
CLOCK_ALLOWED = ("daemon/core/real_clock.", "clients/", "tests/system", "tests/lab_pc", "tests/bench")
# Where libraries are at home, and nowhere else.
LIBRARIES = [
    (re.compile(r"#include <yaml-cpp/"), ("daemon/config/",)),
    (re.compile(r"#include <sqlite3"), ("daemon/store/",)),
    (re.compile(r"#include <grpcpp/"), ("daemon/rpc/", "clients/", "tests/")),
    (re.compile(r"#include <(sys/socket|linux/can)[./]"), ("daemon/bus/", "daemon/rpc/", "tests/")),
    (re.compile(r"#include <(thread|pthread)"), ("daemon/bus/", "daemon/core/", "daemon/store/", "daemon/rpc/",
                                                 "daemon/main.cc", "daemon/sim_main.cc", "clients/", "tests/", "_test.cc")),
]


def rule_for(path):
    for prefix, allowed in ALLOWED:
        if prefix.endswith("/*"):
            if path.startswith(prefix[:-1]):
                return "/".join(path.split("/")[:2]), allowed
        elif path.startswith(prefix):
            return prefix, allowed
    return None, None


def check(path, text):
    problems = []
    own, allowed = rule_for(path)
    if own is None:
        return [f"{path}: no rule for this folder; add it to {pathlib.Path(__file__).name}"]
    is_test = path.endswith(("_test.cc", "_fuzz.cc")) or "/testing/" in path or "_testing." in path
    for number, line in enumerate(text.splitlines(), 1):
        if match := OURS.match(line):
            target = match.group(1)
            fine = target.startswith(own) or any(target.startswith(a) for a in allowed)
            fine = fine or (is_test and any(target.startswith(a) for a in TEST_EXTRA))
            if not fine:
                problems.append(f"{path}:{number}: {own} may not include {target}")
        code = line.split("//")[0]
        if CLOCK.search(code) and not path.startswith(CLOCK_ALLOWED):
            problems.append(f"{path}:{number}: clock or sleep outside daemon/core/real_clock: {line.strip()}")
        for pattern, homes in LIBRARIES:
            if pattern.search(line) and not any(path.startswith(h) or path.endswith(h) for h in homes):
                problems.append(f"{path}:{number}: {line.strip()} belongs only to {', '.join(homes)}")
    return problems


def self_test():
    """A check that cannot fail checks nothing."""
    bad = [
        ("drivers/iseg/driver.cc", '#include "daemon/core/hub.h"\n'),
        ("drivers/iseg/driver.cc", '#include "drivers/ystech/driver.h"\n'),
        ("daemon/core/hub.cc", '#include "daemon/rpc/server.h"\n'),
        ("daemon/core/hub.cc", "auto t = std::chrono::steady_clock::now();\n"),
        ("daemon/bus/x.cc", "std::this_thread::sleep_for(1ms);\n"),
        ("daemon/core/hub.cc", "#include <sqlite3.h>\n"),
    ]
    for path, text in bad:
        if not check(path, text):
            raise SystemExit(f"architecture.py: does not see what is wrong with {path}: {text}")


def main():
    self_test()
    problems = []
    files = 0
    for folder in ("drivers", "daemon", "clients", "tests"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".h", ".cc") and "build" not in path.parts:
                files += 1
                problems += check(str(path.relative_to(ROOT)), path.read_text())
    for problem in problems:
        print(problem)
    print(f"architecture: {files} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
