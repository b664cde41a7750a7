#!/usr/bin/env python3
"""One workload beside the real Kafka Connect: `make bench W=W1-200`. README.md says how it is measured and how to read the results."""

import argparse
import os
import signal
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import report
from cold import cold_start
from conversion import ORACLE_BUILD, REGISTRY_SH, conversion
from fleets import measure
from flow import flow
from latency import latency
from machine import machine, versions
from servers import AGENT, ARM_CORE, KAFKA_SH, RIG, ROOT, SERVER_CORE, TARGET, Failed, rig, say
from workloads import WORKLOADS, Cluster, ColdStart, Conversion, Flow, Latency, Workload, chosen

ROUNDS, CLUSTER_ROUNDS, WARM_UP = 5, 3, 60.0
STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", help="an id, or what several ids begin with: W1 is W1-200 and W1-2K")
    parser.add_argument("--rounds", type=int, help=f"{ROUNDS}, or {CLUSTER_ROUNDS} of a cluster")
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
        build(workloads)
        for workload in workloads:
            if isinstance(workload, Cluster):
                cluster(workload, args.rounds or CLUSTER_ROUNDS, args.trial)
                continue
            os.sched_setaffinity(0, {SERVER_CORE})  # and with it the broker and whatever looks on
            one(workload, args.rounds or ROUNDS, args.trial)
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


def build(workloads: list[Workload]) -> None:
    raw = ["--manifest-path", ROOT / "deploy/bench/raw/Cargo.toml", "--target-dir", TARGET]
    commands = [[KAFKA_SH, "fetch"]]
    if any(not isinstance(workload, Conversion) for workload in workloads):
        commands.append(["cargo", "build", "--release", "--locked", *raw])
    if any(not isinstance(workload, Cluster | Conversion) for workload in workloads):
        commands.append(["cargo", "build", "--release", "--locked", "-p", "dray"])
    # Binaries that are elsewhere are taken as they are.
    if any(isinstance(workload, Cluster) for workload in workloads) and "DRAY_BINARIES" not in os.environ:
        commands.append(["cargo", "build", "--release", "--locked", "-p", "dray-control", "-p", "dray-agent", "-p", "dray-bench"])
    if any(workload.id == "cluster-scheduler" for workload in workloads):
        commands.append(["cargo", "build", "--release", "--locked", "-p", "dray-machine", "--example", "scheduler"])
    if any(isinstance(workload, Conversion) for workload in workloads):
        commands += [[ORACLE_BUILD], [REGISTRY_SH, "fetch"],
                     ["cargo", "build", "--release", "--locked", "-p", "dray-converters", "--example", "converter_speed"]]
    for command in commands:
        subprocess.run(command, check=True, cwd=ROOT)


def cluster(w: Cluster, rounds: int, trial: bool) -> None:
    os.sched_setaffinity(0, {SERVER_CORE, ARM_CORE})
    base, started = Path(os.environ.get("DRAY_BENCH_DIR", RIG / "bench")).resolve(), time.monotonic()
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run.", dir=base))
    try:
        values = measure(folder, w.id, 1 if trial else rounds)
    except BaseException:
        say(f"the logs are kept in {folder}")
        raise
    shutil.rmtree(folder)
    results = RIG / "bench/trial" if trial else report.RESULTS
    report.write(results, {"workload": w.id, "what": w.what, "unit": w.unit, "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                           "machine": machine(), "versions": versions(AGENT), "rounds": values, "figures": report.figures(w, values)})
    print("\n".join(report.figure_rows(w.id, report.figures(w, values))))
    say(f"{w.id}: {time.monotonic() - started:.0f} s; {results / 'README.md'}")


def one(w: Workload, rounds: int, trial: bool) -> None:
    warm_up, folder, started = WARM_UP, report.RESULTS, time.monotonic()
    if trial:
        rounds, warm_up, folder = 2, 3.0, RIG / "bench/trial"
        if isinstance(w, Flow):
            w = replace(w, records={arm: n // 50 for arm, n in w.records.items()})
        elif isinstance(w, Latency):
            w = replace(w, seconds=5, skip=1000)
        elif isinstance(w, Conversion):
            w = replace(w, records={arm: n // 50 for arm, n in w.records.items()})
    if isinstance(w, Conversion):
        result = conversion(w, rounds, warm_up)
    else:
        result = on_broker(w, rounds, warm_up)
    report.write(folder, {"workload": w.id, "what": w.what, "unit": w.unit, "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                          "machine": machine(), "versions": result.get("versions") or versions(), **result})
    about = result["summary"]
    say(f"{w.id}: {about['ratio']['median']:.2f} times ({about['ratio']['low']:.2f}–{about['ratio']['high']:.2f}) less than Connect, noise "
        f"{about['noise'] * 100:.1f} %; required {about['target']}: {about['found']}, {'reached' if about['reached'] else 'not reached'}; "
        f"{time.monotonic() - started:.0f} s; {folder / 'README.md'}")


def on_broker(w: Workload, rounds: int, warm_up: float) -> report.Result:
    with rig() as servers:
        if isinstance(w, Flow):
            return flow(servers, w, rounds, warm_up)
        if isinstance(w, Latency):
            return latency(servers, w, rounds, warm_up)
        assert isinstance(w, ColdStart)
        return cold_start(servers, w, rounds)


if __name__ == "__main__":
    sys.exit(main())
