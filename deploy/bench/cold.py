"""C5: from exec to the first record at the destination, and what the empty process takes."""

import time
from collections.abc import Callable
from pathlib import Path

from arms import JVM_AS_SHIPPED, STRING, Dray, answers, command
from report import Result, Value, summary
from servers import ARM_CORE, DESTINATION, Process, Rig, cpu_seconds, free_port, say, status_kb
from workloads import ColdStart

# An empty process is left alone for so long, then watched for as long again.
SETTLE = 2.0

Start = Callable[[str, list[Path]], Process]


def cold_start(rig: Rig, w: ColdStart, rounds: int) -> Result:
    lines = rig.folder / "lines.txt"
    rig.raw("append", lines, 1000, 1)
    dray = Dray(rig)
    done, port = 0, ""

    def start_dray(name: str, files: list[Path]) -> Process:
        return dray.start(name, *files)

    def start_connect(_name: str, files: list[Path]) -> Process:
        nonlocal port
        port = free_port()
        return Process(command(rig, port, JVM_AS_SHIPPED, *files), ARM_CORE, rig.folder / "connect.log")

    def run(label: str, start: Start, rest: bool) -> Value:
        nonlocal done
        done += 1
        name = f"{w.id}-{done}".lower()
        config = {"name": name, "connector.class": "FileStreamSource", "file": str(lines), "topic": name, "tasks.max": "1", **STRING}
        seen: Value = {}
        with (rig.topic(name, 1, DESTINATION), rig.watch("latency", rig.bootstrap, name, 1, 0) as reader,
              start(name, [rig.properties(f"{name}.properties", config)]) as process):
            reader.line(process.check)
            seen["first_record_ms"] = (time.monotonic() - process.started) * 1e3
        with start(f"{name}-empty", []) as process:
            if rest:
                seen["rest_ready_ms"] = answers(f"http://127.0.0.1:{port}", process)
            time.sleep(SETTLE)
            cpu = cpu_seconds(process.pid)
            time.sleep(SETTLE)
            process.check()
            seen |= {"empty_rss_mb": status_kb(process.pid, "VmRSS") / 1024, "empty_threads": status_kb(process.pid, "Threads"),
                     "empty_cpu_percent": (cpu_seconds(process.pid) - cpu) / SETTLE * 100}
        say(f"{w.id} {label}: " + ", ".join(f"{key} {value:.1f}" for key, value in seen.items()))
        return seen

    # The first start reads from the disk what the others find in memory.
    run("Dray, not counted", start_dray, False)
    run("Connect, not counted", start_connect, True)
    measured = [{"dray": run("Dray", start_dray, False), "default": run("Connect", start_connect, True),
                 "dray again": run("Dray again", start_dray, False)} for _ in range(rounds)]
    more = ["empty_rss_mb", "empty_threads", "empty_cpu_percent", "rest_ready_ms"]
    about = summary(w, measured, {}, "first_record_ms", against="default", more=more)
    return {"rounds": measured, "once": {}, "jvm": JVM_AS_SHIPPED, "summary": about,
            "guarantees": {"dray": "dray standalone with one file source", "default": "connect-standalone with one file source"}}

