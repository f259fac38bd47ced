#!/usr/bin/env python3
"""Adds up what scripts/test ran: JUnit files and steps.tsv in a folder. Prints what failed, what could
not run and why, and the closing line; exits 1 if anything failed, or with CI=true was skipped."""
import os
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def main():
    folder = pathlib.Path(sys.argv[1])
    passed = 0
    failed, skipped, table = [], [], []
    for path in sorted(folder.glob("*.xml")):
        counts = {"passed": 0, "failed": 0, "skipped": 0}
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            name = f"{path.stem}: {case.get('classname', '')}.{case.get('name')}"
            reason = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
                counts["failed"] += 1
                failed.append(name)
            elif reason is not None or case.get("status") in ("notrun", "disabled"):
                counts["skipped"] += 1
                why = reason.get("message") if reason is not None else "disabled"
                skipped.append(f"{name}: {why}")
            else:
                counts["passed"] += 1
        passed += counts["passed"]
        table.append((path.stem, counts))
        if sum(counts.values()) == 0:
            failed.append(f"{path.stem}: no test was run")
    steps = folder / "steps.tsv"
    for line in steps.read_text().splitlines() if steps.exists() else []:
        name, status, note = line.split("\t")
        counts = {"passed": 0, "failed": 0, "skipped": 0}
        counts[status] += 1
        table.append((f"{name} ({note})", counts))
        if status == "passed":
            passed += 1
        elif status == "failed":
            failed.append(name)
        else:
            skipped.append(f"{name}: {note}")
    print("\n== what ran")
    for name, counts in table:
        print(f"  {name:60} " + ", ".join(f"{n} {what}" for what, n in counts.items() if n))
    if skipped:
        print("== could not run")
        for line in skipped:
            print("  " + line)
    if failed:
        print("== failed")
        for line in failed:
            print("  " + line)
    print(f"== {sys.argv[2]} s")
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed or passed == 0 or (skipped and os.environ.get("CI") == "true") else 0


if __name__ == "__main__":
    sys.exit(main())
