"""W7: how long a line takes from the append to the reader of the topic."""

import json
from pathlib import Path

from arms import JVM, STRING, Connect, Dray
from report import Result, Value, summary
from servers import ARM_CORE, DESTINATION, RAW, SERVER_CORE, TICKS, Process, Rig, cpu_seconds, say
from workloads import Latency

# The broker's compiler shares its core with what is measured.
BROKER_WARM_UP = 75


def stolen() -> float:
    """Seconds that the host has given to others while one of our cores wanted to run (proc_stat(5))."""
    return int(Path("/proc/stat").read_text().split(maxsplit=9)[8]) / TICKS


def latency(rig: Rig, w: Latency, rounds: int, warm_up: float) -> Result:
    done = 0

    def run(arm: Dray | Connect, label: str, seconds: int) -> Value:
        nonlocal done
        done += 1
        name = f"{w.id}-{done}".lower()
        file, records = rig.folder / f"{name}.txt", w.rate * seconds
        file.touch()
        config = {"name": name, "connector.class": "FileStreamSource", "file": str(file), "topic": name, "tasks.max": "1", **STRING}
        with (rig.topic(name, 1, DESTINATION), arm.running(config) as engine,
              rig.watch("latency", rig.bootstrap, name, records, min(w.skip, records // 2)) as reader,
              Process([RAW, "append", file, str(w.rate), str(seconds)], SERVER_CORE, rig.errors)):
            cpu = cpu_seconds(engine.pid)
            before = stolen()
            seen: Value = json.loads(reader.line(engine.alive))
            seen["cpu_percent"] = (cpu_seconds(engine.pid) - cpu) / seconds * 100
            seen["steal_percent"] = (stolen() - before) / seconds * 100
        file.unlink()
        return told(label, seen)

    def raw(seconds: int) -> Value:
        nonlocal done
        done += 1
        name = f"{w.id}-{done}".lower()
        with (rig.topic(name, 1, DESTINATION),
              rig.watch("latency", rig.bootstrap, name, w.rate * seconds, w.skip) as reader,
              Process([RAW, "stamp", rig.bootstrap, name, str(w.rate), str(seconds)], ARM_CORE, rig.errors) as producer):
            before = stolen()
            seen: Value = json.loads(reader.line(lambda: None))
            seen["cpu_percent"] = cpu_seconds(producer.pid) / seconds * 100
            seen["steal_percent"] = (stolen() - before) / seconds * 100
        return told("librdkafka, without a file", seen)

    def told(label: str, seen: Value) -> Value:
        say(f"{w.id} {label}: p50 {seen['p50_ms']:.1f} ms, p99 {seen['p99_ms']:.1f} ms, {seen['cpu_percent']:.1f} % of a core; "
            f"{seen['steal_percent']:.1f} % of one stolen")
        return seen

    with Connect(rig, {}) as connect:
        dray = Dray(rig)
        run(dray, "warm-up of the broker", min(BROKER_WARM_UP, 5 * w.seconds))
        run(connect, "Connect warm-up", max(1, int(warm_up)))
        measured = [{"dray": run(dray, "Dray", w.seconds), "default": run(connect, "Connect default", w.seconds),
                     "raw": raw(w.seconds), "dray again": run(dray, "Dray again", w.seconds)} for _ in range(rounds)]
    about = summary(w, measured, {}, "p99_ms", against="default", more=["p50_ms", "cpu_percent", "steal_percent"])
    return {"rounds": measured, "once": {}, "jvm": JVM, "summary": about,
            "guarantees": {"dray": "as it ships", "default": "as it ships: looks at the end of the file once a second; offsets every 1 s",
                           "raw": "no file: a record for each line, produced at once (linger 0, acks=all)"}}
