#!/usr/bin/env python3
"""One workload beside the real Kafka Connect: `make bench W=W1-200`. README.md says how it is measured and how to read the results."""

import argparse
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import report
from cold import cold_start
from flow import flow
from latency import latency
from machine import machine, versions
from servers import ARM_CORE, KAFKA_SH, RIG, ROOT, SERVER_CORE, TARGET, Failed, rig, say
from workloads import WORKLOADS, Flow, Latency, Workload, chosen

ROUNDS, WARM_UP = 5, 60.0
STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", help="an id, or what several ids begin with: W1 is W1-200 and W1-2K")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--trial", action="store_true", help="a fiftieth of the records, for the harness itself; says nothing, and is kept in .rig only")
    args = parser.parse_args()
    if not (workloads := chosen(args.workload)):
        known = "\n".join(f"  {w.id:15} {w.what}" for w in WORKLOADS.values())
        print(f"bench: W={args.workload}: there is no such workload; these are known (a beginning, as in W1, takes several):\n{known}", file=sys.stderr)
        return 2
    if not {SERVER_CORE, ARM_CORE} <= os.sched_getaffinity(0):
        print("bench: two cores are needed: the broker gets core 0, what is measured core 1", file=sys.stderr)
        return 1
    for number in STOPS:
        signal.signal(number, interrupted)
    try:
        build()
        os.sched_setaffinity(0, {SERVER_CORE})  # and with it the broker and whatever looks on
        for workload in workloads:
            one(workload, args.rounds, args.trial)
    except Failed as failed:
        print(f"bench: {failed}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as failed:
        print(f"bench: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def interrupted(*_: object) -> None:
    """The first signal ends everything in order; a second one must not leave servers behind."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def build() -> None:
    raw = ["--manifest-path", ROOT / "deploy/bench/raw/Cargo.toml", "--target-dir", TARGET]
    for command in [[KAFKA_SH, "fetch"], ["cargo", "build", "--release", "--locked", "-p", "dray"], ["cargo", "build", "--release", "--locked", *raw]]:
        subprocess.run(command, check=True, cwd=ROOT)


def one(w: Workload, rounds: int, trial: bool) -> None:
    warm_up, folder, started = WARM_UP, report.RESULTS, time.monotonic()
    if trial:
        rounds, warm_up, folder = 2, 3.0, RIG / "bench/trial"
        if isinstance(w, Flow):
            w = replace(w, records={arm: n // 50 for arm, n in w.records.items()})
        elif isinstance(w, Latency):
            w = replace(w, seconds=5, skip=1000)
    with rig() as servers:
        if isinstance(w, Flow):
            result = flow(servers, w, rounds, warm_up)
        elif isinstance(w, Latency):
            result = latency(servers, w, rounds, warm_up)
        else:
            result = cold_start(servers, w, rounds)
    report.write(folder, {"workload": w.id, "what": w.what, "unit": w.unit, "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                          "machine": machine(), "versions": versions(), **result})
    about = result["summary"]
    say(f"{w.id}: {about['ratio']['median']:.2f} times ({about['ratio']['low']:.2f}–{about['ratio']['high']:.2f}) less than Connect, noise "
        f"{about['noise'] * 100:.1f} %; first target {about['target']}: {about['found']}, {'reached' if about['reached'] else 'not reached'}; "
        f"{time.monotonic() - started:.0f} s; {folder / 'README.md'}")


if __name__ == "__main__":
    sys.exit(main())
