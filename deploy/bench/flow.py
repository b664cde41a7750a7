"""A source, a sink or a mirror: the arms in turn, round after round, on the same records."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from arms import GUARANTEES, JVM, LIBRDKAFKA, TUNED, Connect, Dray, Input, Run, engine_run, raw_run
from report import Result, Value, summary
from servers import PREFILLED, SERVER_CORE, Process, Rig, say, tail
from workloads import Flow

# A JVM's compilers work on after a minute: a run that is so much cheaper than the one before was still warming up. Within limits.
STILL_WARMING, LONGEST_WARM_UP = 0.95, 3


def flow(rig: Rig, w: Flow, rounds: int, warm_up: float) -> Result:
    kind = {None: "source", "topic": "mirror"}.get(w.sink, "sink")
    with inputs(rig, w) as data, Connect(rig, TUNED[kind]) as connect:
        dray = Dray(rig)
        done = 0

        def turn(arm: str, run: Run) -> Value:
            result = run.result()
            say(f"{w.id} {arm}: {result['cpu_s_per_million']:.3f} CPU-s per million, {run.seconds:.1f} s, {run.peak_rss_mb:.0f} MB")
            return result

        def name(arm: str) -> str:
            nonlocal done
            done += 1
            return f"{w.id}-{arm}-{done}".lower()

        say(f"{w.id}: warming Connect up for {warm_up:.0f} s, then until it gets no cheaper")
        began, costs = time.monotonic(), [float("inf")]
        while (spent := time.monotonic() - began) < warm_up or (costs[-1] < STILL_WARMING * costs[-2] and spent < LONGEST_WARM_UP * warm_up):
            costs.append(turn("warm-up", engine_run(rig, connect, w, data["connect"], name("warm")))["cpu_s_per_million"])

        measured: list[dict[str, Value]] = []
        for number in range(1, rounds + 1):
            say(f"{w.id}: round {number} of {rounds}")
            measured.append({
                "dray": turn("Dray", engine_run(rig, dray, w, data["dray"], name("dray"))),
                "connect": turn("Connect tuned", engine_run(rig, connect, w, data["connect"], name("connect"))),
                **({"raw": turn("librdkafka", raw_run(rig, w, data["raw"], name("raw")))} if "raw" in data else {}),
                "dray again": turn("Dray again", engine_run(rig, dray, w, data["dray"], name("again"))),
            })

        plain = Connect(rig, {}, like=connect)
        once = {"default": turn("Connect default", engine_run(rig, plain, w, data["default"], name("default")))}
        other = Dray(rig, LIBRDKAFKA)
        once["dray librdkafka"] = turn("Dray on librdkafka", engine_run(rig, other, w, data["dray"], name("librdkafka")))
        shown = profiled(rig, dray, w, data["dray"], name("profile"))

    return {"rounds": measured, "once": once, "profile": shown, "guarantees": GUARANTEES[kind], "jvm": JVM,
            "overrides": {"connect": connect.overrides, "dray": dray.overrides},
            "summary": summary(w, measured, once, "cpu_s_per_million")}


@contextmanager
def inputs(rig: Rig, w: Flow) -> Iterator[dict[str, Input]]:
    """The same lines for every arm; arms that take fewer records take the first ones."""
    made: dict[int, Input] = {}
    with ExitStack() as stack:
        for records in sorted(set(w.records.values())):
            say(f"{w.id}: preparing {records:,} records")
            file, topic = rig.folder / f"{w.kind}-{records}.txt", f"input-{records}"
            rig.raw("generate", w.kind, records, file)
            made[records] = Input(records, rig.raw("checksum", file) if w.sink == "file" else "", file, topic)
            if w.sink is not None:
                stack.enter_context(rig.topic(topic, w.partitions, PREFILLED))
                rig.raw("produce", rig.bootstrap, topic, file, "linger.ms=5", "batch.size=524288")
                rig.raw("arrived", rig.bootstrap, topic, records)
                file.unlink()
        yield {arm: made[records] for arm, records in w.records.items()}


def profiled(rig: Rig, dray: Dray, w: Flow, data: Input, name: str) -> str:
    """One more run of Dray, not counted, under `perf`: where the time goes, by thread and by function."""
    try:
        subprocess.run(["perf", "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return "no profile: `perf` is not installed on this machine"
    recording, log = rig.folder / "perf.data", rig.folder / "perf.log"
    recorders: list[Process] = []
    # A second later, when all threads are there: perf misses those that start while it attaches.
    perf = ["sh", "-c", 'sleep 1; exec "$@"', "sh", "perf", "record", "-q", "-F", "999", "-o", recording, "-p"]
    try:
        engine_run(rig, dray, w, data, name, begun=lambda pid: recorders.append(Process([*perf, str(pid)], SERVER_CORE, log)))
        for recorder in recorders:  # it ends with the process that it looks at
            if recorder.child.wait(60) != 0:
                return f"no profile: {tail(log)}"
    finally:
        for recorder in recorders:
            recorder.stop()
    return "\n".join(f"{title}\n{shares(recording, keys)}" for title, keys in
                     [("by thread", "comm"), ("by library", "dso"), ("by function", "comm,symbol")])


def shares(recording: Path, keys: str) -> str:
    done = subprocess.run(["perf", "report", "-i", recording, "--stdio", "--no-children", "--sort", keys, "--percent-limit", "0.7"],
                          check=True, capture_output=True, text=True)
    lines = [re.sub(r"(\s+-)+$", "", line.rstrip())[:150] for line in done.stdout.splitlines() if line.strip() and not line.startswith("#")]
    return "\n".join(lines[:35]) + "\n"
