"""The workloads of the cluster: figures of real processes on two cores, each round on a cluster of its own."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import rest
from fleet import CLIENT, SOURCE, Fleet, Talker, config, fleet
from servers import RAW, TARGET, Failed, cpu_seconds, say

Values = dict[str, float]

# What was just done is over after this; then what is idle is watched for as long.
SETTLE = 3.0
# For a broker whose code has just been loaded: after 20 s its compiler still takes a core of two, and what is measured is that.
WARM_UP = 60.0
# A thread for calls that block ends when it has had nothing to do for 10 s: it is none of the tasks'.
BLOCKING = 11.0
# Members of 10,000 tasks' groups heartbeat every 5 s.
IDLE = 20.0
DATAGEN, BLACKHOLE = "io.dray.connect.datagen.DatagenSourceConnector", "io.dray.connect.blackhole.BlackholeSinkConnector"
NO_BROKER = "127.0.0.1:9"


def idle(folder: Path) -> Values:
    """1,000 connectors with one task each, that have nothing to do; then one connector with 10,000."""
    with fleet(folder, 1, 1) as it:
        eye, seen = it.eye, {}
        empty_file = folder / "empty.txt"
        empty_file.write_text("")
        source = config(connector_class=SOURCE, file=str(empty_file), topic="idle")
        time.sleep(SETTLE)
        seen["agent_empty_mb"], seen["control_empty_mb"] = it.rss_mb("agent-1"), it.rss_mb("control-1")
        threads = it.threads("agent-1")

        started = time.monotonic()
        seen["create_p50_ms"] = eye.ask(f"create 1000 16 c {source}")["p50_ms"]
        eye.ask("running 2000")
        seen["create_1000_s"] = time.monotonic() - started
        time.sleep(SETTLE)
        seen["agent_1000_mb"] = it.rss_mb("agent-1") - seen["agent_empty_mb"]
        seen["control_1000_mb"] = it.rss_mb("control-1")
        cpu = [cpu_seconds(it.pid(name)) for name in ["agent-1", "control-1"]]
        time.sleep(SETTLE)
        seen["agent_1000_cpu_percent"], seen["control_1000_cpu_percent"] = (
            (cpu_seconds(it.pid(name)) - before) / SETTLE * 100 for name, before in zip(["agent-1", "control-1"], cpu))
        time.sleep(BLOCKING)
        seen["more_threads"] = it.threads("agent-1") - threads

        # Another value of a key of 300 connectors, one after the other: their own tasks start again, nobody else's.
        eye.ask("mark")
        wrote = eye.ask(f"update 300 1 c 1000 batch.size {source}")
        seen["write_p50_ms"], seen["write_p99_ms"] = wrote["p50_ms"], wrote["p99_ms"]
        eye.ask("renewed 600")
        eye.ask("quiet 1000")
        eye.ask("running 2000")
        written = {f"c{time_ * 7919 % 1000:05}" for time_ in range(300)}
        changes = eye.ask("changes")["changes"]
        seen["write_unrelated"] = sum(name not in written for name, *_ in changes)

        # The control plane starts again: nothing else does.
        eye.ask("mark")
        it.end("control-1")
        seen["control_ready_ms"] = control_ready(it)
        eye.ask("connected 1")
        eye.ask("running 2000")
        eye.ask("quiet 2000")
        seen["control_restart_changes"] = len(eye.ask("changes")["changes"])

        eye.ask("mark")
        it.kill("agent-1")
        started = it.again("agent-1")
        eye.ask("renewed 2000")
        seen["agent_1000_running_s"] = time.monotonic() - started

        eye.ask("delete 1000 c")
        eye.ask("running 0")
        started = time.monotonic()
        eye.ask(f"create 1000 1 d {source}")
        eye.ask("running 2000")
        seen["create_1000_one_client_s"] = time.monotonic() - started
        eye.ask("delete 1000 d")
        eye.ask("running 0")
        it.end("agent-1")
        it.again("agent-1")
        eye.ask("connected 1")
        time.sleep(SETTLE)

        # Each of the tasks generates one record, and is idle then.
        before = it.rss_mb("agent-1")
        many = config(connector_class=DATAGEN, topic="idle", tasks="10000", tasks_max="10000", count="1")
        started = time.monotonic()
        eye.ask(f"create 1 1 many {many}")
        eye.ask("running 10001")
        seen["tasks_10000_s"] = time.monotonic() - started
        time.sleep(2 * SETTLE)
        seen["agent_10000_mb"] = (it.rss_mb("agent-1") - before) / 10
        seen["control_10000_mb"] = it.rss_mb("control-1")
        return seen


def many(folder: Path) -> Values:
    """10,000 idle source tasks on an agent, and 10,000 idle sink tasks on one that has nothing else. None of them has a thread of its own."""
    sources = config(connector_class=DATAGEN, topic="idle", tasks="100", tasks_max="100", count="1")
    sinks = config(connector_class=BLACKHOLE, topics="sinks", tasks_max="100")
    with fleet(folder, 1, 1) as it:
        subprocess.run([RAW, "create", it.kafka, "sinks", "100"], check=True)
        seen = {}
        for kind, connectors in [("source", sources), ("sink", sinks)]:
            time.sleep(SETTLE)
            empty_mb, threads = it.rss_mb("agent-1"), it.threads("agent-1")
            started = time.monotonic()
            it.eye.ask(f"create 100 8 {kind} {connectors}")
            it.eye.ask("running 10100")
            seen[f"{kind}_running_s"] = time.monotonic() - started
            # What starting them took is over: groups have settled, and threads for calls that block have ended.
            time.sleep(BLOCKING + IDLE)
            seen[f"{kind}_mb"] = (it.rss_mb("agent-1") - empty_mb) / 10
            seen[f"{kind}_threads"] = it.threads("agent-1") - threads
            before = cpu_seconds(it.pid("agent-1"))
            time.sleep(IDLE)
            seen[f"{kind}_cpu_percent"] = (cpu_seconds(it.pid("agent-1")) - before) / IDLE * 100
            it.eye.ask(f"delete 100 {kind}")
            it.eye.ask("running 0")
            it.end("agent-1")
            it.again("agent-1")
            it.eye.ask("connected 1")
        return seen


def control_ready(it: Fleet) -> float:
    """From exec of a replica to its first answer."""
    address = it.process("control-1")["grpc"]
    with Talker(it.folder / "answers.log", CLIENT, "answers", address) as asker:
        asker.hear()
        started = it.again("control-1")
        asker.hear()
        return (time.monotonic() - started) * 1e3


def gaps(flows: Talker) -> tuple[list[float], list[float]]:
    heard = flows.ask("gaps")
    return heard["sources"], heard["sinks"]


def undisturbed(flows: Talker) -> float:
    """The longest gap of any flow while nothing happens: what the figures cannot be below."""
    flows.ask("mark")
    time.sleep(SETTLE)
    return max(map(max, gaps(flows)))


def ended(flows: Talker, seen: Values) -> None:
    counted = flows.ask("end")  # fails when a line is lost
    seen["lines"], seen["early"] = counted["sent"], counted["early"]
    seen["twice_in_topics"], seen["twice_in_files"] = counted["twice_in_topics"], counted["twice_in_files"]


def kill(folder: Path, rounds: int) -> list[Values]:
    """kill -9 of an agent with 300 tasks, and nothing on the other; then of the other one, and so on. The broker is warm by then: its own
    compiler takes most of both cores in the first half minute."""
    with fleet(folder, 3, 2) as it:
        eye, measured = it.eye, []
        eye.ask("cordon agent-2")
        with it.flows(150, 150, 4) as flows:
            eye.ask("running 600")
            eye.ask("holds agent-1 600")
            time.sleep(WARM_UP)
            for number in range(rounds):
                old, new = ("agent-1", "agent-2") if number % 2 == 0 else ("agent-2", "agent-1")
                seen: Values = {"undisturbed_ms": undisturbed(flows)}
                eye.ask("mark")
                flows.ask("mark")
                if number == 0:
                    eye.ask(f"uncordon {new}")
                killed = it.kill(old)
                eye.ask("renewed 600")
                seen["running_s"] = time.monotonic() - killed
                time.sleep(2 * SETTLE)
                sources, sinks = gaps(flows)
                seen |= {"gap_s": max(sources + sinks) / 1e3, "gap_median_s": median(sources + sinks) / 1e3,
                         "source_gap_s": max(sources) / 1e3, "sink_gap_s": max(sinks) / 1e3}
                measured.append(seen)
                # Those that have just moved stay where they are for a minute: this one has nothing when the other is killed.
                it.again(old)
                eye.ask("connected 2")
                eye.ask(f"holds {new} 600")
            ended(flows, measured[-1])
    return measured


def move(folder: Path) -> Values:
    """An agent joins, another is drained, and one leaves, while data flows."""
    with fleet(folder, 3, 2) as it:
        eye, seen = it.eye, {}
        with it.flows(20, 20, 50) as flows:
            eye.ask("running 80")
            eye.ask("quiet 3000")
            time.sleep(WARM_UP)
            seen["undisturbed_ms"] = undisturbed(flows)

            def watched(what: str, agent: str, do: Callable[[], object]) -> None:
                eye.ask("mark")
                flows.ask("mark")
                started = time.monotonic()
                do()
                seen[f"{what}_s"] = time.monotonic() - started
                eye.ask("running 80")
                eye.ask(f"quiet {SETTLE * 1e3:.0f}")
                changes = eye.ask("changes")["changes"]
                seen[f"{what}_unrelated"] = sum(agent not in (before, after) for _, _, before, after in changes)
                measured = dict(zip(["in", "out"], gaps(flows)))
                stood = [measured[found[1]][int(found[2])] for name, task, *_ in changes
                         if task is not None and (found := re.fullmatch(r"(in|out)(\d+)", name))]
                seen[f"{what}_moved"] = len(stood)
                seen[f"{what}_gap_ms"] = max(stood, default=0.0)
                seen[f"{what}_gap_median_ms"] = median(stood or [0.0])

            # Tasks that have just been placed stay where they are: one that joins gets what is created next, and its share in a minute.
            watched("join", "agent-3", lambda: (it.cluster.agent_add(), eye.ask("connected 3")))
            watched("drain", "agent-1", lambda: (eye.ask("drain agent-1"), eye.ask("holds agent-1 0")))
            watched("leave", "agent-2", lambda: (it.end("agent-2"), eye.ask("holds agent-2 0")))
            for what in ["drain", "leave"]:
                if not seen[f"{what}_moved"]:
                    raise Failed(f"{what}: no task has moved")
            ended(flows, seen)
            return seen


def leader(folder: Path) -> Values:
    """kill -9 of the leader while data flows."""
    with fleet(folder, 3, 2) as it:
        eye, seen = it.eye, {}
        empty_file = folder / "empty.txt"
        empty_file.write_text("")
        source = config(connector_class=SOURCE, file=str(empty_file), topic="idle")
        with it.flows(20, 20, 50) as flows:
            eye.ask(f"create 1 1 idle {source}")
            eye.ask("running 82")
            eye.ask("quiet 3000")
            seen["undisturbed_ms"] = undisturbed(flows)
            name = eye.ask("leader")["leader"]
            eye.ask("mark")
            flows.ask("mark")
            killed = it.kill(name)
            seen["write_tries"] = eye.ask(f"write idle00000 {source[:-1]},\"batch.size\":\"77\"}}")["tries"]
            seen["write_s"] = time.monotonic() - killed
            eye.ask("renewed 2")
            seen["carried_out_s"] = time.monotonic() - killed
            eye.ask("running 82")
            eye.ask("quiet 3000")
            seen["gap_ms"] = max(map(max, gaps(flows)))
            seen["restarted"] = sum(not name.startswith("idle") for name, *_ in eye.ask("changes")["changes"])
            ended(flows, seen)
            if seen["twice_in_topics"] or seen["twice_in_files"]:
                raise Failed(f"lines came twice after the leader's death: {seen}")
            return seen


def agents(folder: Path) -> Values:
    """1,000 simulated agents in a process of their own, with a heartbeat a second each."""
    with fleet(folder, 1, 0, NO_BROKER) as it:
        seen: Values = {"empty_mb": it.rss_mb("control-1")}
        with Talker(folder / "agents.log", CLIENT, "agents", it.addresses, "dray-cluster", 1000) as many:
            seen["connected_s"] = many.hear()["ms"] / 1e3
            time.sleep(2 * SETTLE)
            many.ask("")
            cpu, started = cpu_seconds(it.pid("control-1")), time.monotonic()
            time.sleep(3 * SETTLE)
            seen["cores"] = (cpu_seconds(it.pid("control-1")) - cpu) / (time.monotonic() - started)
            heard = many.ask("")
            seen |= {"rss_mb": it.rss_mb("control-1"), "beats_per_s": heard["beats"] / 3 / SETTLE, "slowest_ms": heard["slowest_ms"]}
            if heard["broken"] or heard["connected"] != 1000:
                raise Failed(f"agents lost their streams: {heard}")
            return seen


def scheduler(_: Path) -> Values:
    """The scheduler at full size: a process of its own that says what each event costs."""
    told = subprocess.run([TARGET / "release/examples/scheduler"], capture_output=True, text=True, check=True).stdout
    rows = (line.split() for line in told.splitlines()[1:])
    return {f"{event}_ms": float(median) for event, median, _, _ in rows}


MEASURE: dict[str, Callable[[Path], Values]] = {"cluster-idle": idle, "cluster-10000": many, "cluster-move": move, "cluster-leader": leader,
                                                "cluster-agents": agents, "cluster-rest": rest.dray, "cluster-scheduler": scheduler}


def beside(folder: Path) -> Values:
    """The real Connect under the same requests, when Dray's processes have gone."""
    with fleet(folder, 1, 0) as it:
        return rest.connect(folder, it.kafka)


def measure(folder: Path, workload: str, rounds: int) -> list[Values]:
    """So many rounds, said as they come."""
    measured: list[Values] = []
    if workload == "cluster-kill":
        for seen in kill(folder / workload, rounds):
            say(f"{workload}: " + ", ".join(f"{key} {value:.4g}" for key, value in seen.items()))
            measured.append(seen)
        return measured
    for number in range(rounds):
        seen = MEASURE[workload](folder / f"{workload}-{number}")
        if workload == "cluster-rest":
            seen |= beside(folder / f"connect-{number}")
        say(f"{workload}: " + ", ".join(f"{key} {value:.4g}" for key, value in seen.items()))
        measured.append(seen)
    return measured
