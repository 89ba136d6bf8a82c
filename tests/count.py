#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turn meson's test log into one line per test case: `pass NAME`, `fail NAME`, `skip NAME`.

A test program that prints a summary of its own (check's "100%: Checks: 12, Failures: 0,
Errors: 0" or unittest's "Ran 9 tests") counts with its cases, any other as one.
"""
import json
import re
import sys


def cases(text):
    """(run, failed, skipped) by the program's own words, or None if it has none."""
    run = failed = skipped = 0
    for checks, failures, errors in re.findall(
            r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", text, re.M):
        run += int(checks)
        failed += int(failures) + int(errors)
    for ran in re.findall(r"^Ran (\d+) tests? in ", text, re.M):
        run += int(ran)
    for what in re.findall(r"^(?:OK|FAILED) \((.*)\)$", text, re.M):
        for kind, number in re.findall(r"(failures|errors|skipped)=(\d+)", what):
            if kind == "skipped":
                skipped += int(number)
            else:
                failed += int(number)
    return (run, failed, skipped) if run else None


def main(path, build):
    try:
        lines = open(path, encoding="utf-8", errors="replace").read().splitlines()
    except FileNotFoundError:
        print(f"fail {build}: no test ran")
        return
    for line in lines:
        test = json.loads(line)
        name = f"{build}: {test['name']}"
        text = (test.get("stdout") or "") + (test.get("stderr") or "")
        if test["result"] == "SKIP":
            print(f"skip {name}")
            continue
        good = test["result"] in ("OK", "EXPECTEDFAIL")
        run, failed, skipped = cases(text) or (1, 0 if good else 1, 0)
        if not good and failed == 0:
            failed = 1  # it crashed, or ran out of time, after its last word
        for outcome, number in (("pass", run - failed - skipped), ("fail", failed),
                                ("skip", skipped)):
            for _ in range(max(number, 0)):
                print(f"{outcome} {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
