"""The workloads: what moves, how many records for each arm, and what is required.

Records are chosen so that a run takes about ten seconds or more on one core of a small machine; an arm that is slower may take fewer.
"""

import re
from dataclasses import dataclass, field

STRING = {"key.converter": "org.apache.kafka.connect.storage.StringConverter",
          "value.converter": "org.apache.kafka.connect.storage.StringConverter"}
BYTES = {"key.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
         "value.converter": "org.apache.kafka.connect.converters.ByteArrayConverter"}


# Headers as well, which SimpleHeaderConverter would turn into text.
ALL_BYTES = BYTES | {"header.converter": BYTES["value.converter"]}


def json_converter(schemas: bool) -> dict[str, str]:
    return {"key.converter": BYTES["key.converter"],
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": str(schemas).lower()}


# Four transforms on ten fields, three of them with a field of their own to touch.
FOUR_TRANSFORMS = {
    "transforms": "replace,insert,mask,time",
    "transforms.replace.type": "org.apache.kafka.connect.transforms.ReplaceField$Value",
    "transforms.replace.exclude": "note",
    "transforms.replace.renames": "quantity:qty",
    "transforms.insert.type": "org.apache.kafka.connect.transforms.InsertField$Value",
    "transforms.insert.static.field": "src",
    "transforms.insert.static.value": "bench",
    "transforms.insert.topic.field": "topic",
    "transforms.mask.type": "org.apache.kafka.connect.transforms.MaskField$Value",
    "transforms.mask.fields": "ssn",
    "transforms.time.type": "org.apache.kafka.connect.transforms.TimestampConverter$Value",
    "transforms.time.field": "created",
    "transforms.time.target.type": "string",
    "transforms.time.format": "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
}


@dataclass(frozen=True)
class Target:
    """What is required: at least `times` cheaper than tuned Connect, or no more than `at_most`."""
    text: str
    times: float | None = None
    at_most: float | None = None  # of the workload's own unit


@dataclass(frozen=True)
class Flow:
    """A source (file to topic), a sink (topic to file, or to nowhere) or a mirror (topic to topic), in CPU-seconds per million records."""
    id: str
    what: str
    target: Target
    kind: str  # of the records, see raw/src/input.rs
    sink: str | None  # None: a source; "topic": a mirror; else "file" or "discard"
    partitions: int
    tasks: int
    converters: dict[str, str]
    records: dict[str, int]  # in millions: dray, connect, raw, default; an arm that is not there does not run
    transforms: dict[str, str] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)  # settings of the connector
    unit: str = field(default="CPU-s per million records", init=False)


@dataclass(frozen=True)
class Latency:
    id: str
    what: str
    target: Target
    rate: int
    seconds: int
    skip: int  # records not counted at the beginning
    unit: str = field(default="p99 in ms", init=False)


@dataclass(frozen=True)
class ColdStart:
    id: str
    what: str
    target: Target
    unit: str = field(default="ms from exec to the first record", init=False)


@dataclass(frozen=True)
class Conversion:
    """Records through a converter and nothing else, one after the other."""
    id: str
    what: str
    target: Target
    direction: str  # "decode" or "encode"
    records: dict[str, int]  # in a run: dray, connect
    unit: str = field(default="ns a record", init=False)


@dataclass(frozen=True)
class Figure:
    """One figure of a cluster: the smaller, the better."""
    key: str
    what: str
    unit: str
    required: float | None = None
    aim: float | None = None
    connect: str = ""  # the real Connect 4.3.1 on the same machine, measured once


@dataclass(frozen=True)
class Cluster:
    """Real processes on both cores: control planes, agents, etcd, broker; see fleets.py."""
    id: str
    what: str
    figures: list[Figure]
    unit: str = field(default="", init=False)


CLUSTER = [
    Cluster("cluster-idle", "1,000 connectors with one idle source task each, one control plane, one agent; then one connector with 10,000 tasks", [
        Figure("create_1000_s", "create 1,000 connectors over admin gRPC, 16 clients → all RUNNING", "s", 6, 2, "41"),
        Figure("create_1000_one_client_s", "the same, one client", "s", 6, 2, "73"),
        Figure("create_p50_ms", "one of these calls, 16 clients, p50", "ms", connect="617"),
        Figure("tasks_10000_s", "10,000 idle tasks in one connector → all RUNNING", "s", 20, 10, "not tried"),
        Figure("agent_1000_mb", "RSS of an agent for 1,000 idle connectors with a task each, over an empty one", "MB", 60, 30, "1,670"),
        Figure("agent_10000_mb", "RSS of an agent per 1,000 of the 10,000 tasks", "MB", 60, 30),
        Figure("agent_empty_mb", "RSS of an empty agent", "MB", 25, 12, "467"),
        Figure("control_empty_mb", "RSS of an empty control plane", "MB", 30, 12),
        Figure("control_1000_mb", "RSS of the control plane with 1,000 connectors", "MB"),
        Figure("control_10000_mb", "RSS of the control plane with 10,000 tasks", "MB"),
        Figure("more_threads", "threads of the agent that 1,000 source tasks add", "", 0, 0, "3,049 in all"),
        Figure("agent_1000_cpu_percent", "an agent with 1,000 idle tasks", "% of a core", connect="5.5"),
        Figure("control_1000_cpu_percent", "the control plane with 1,000 connectors", "% of a core"),
        Figure("write_p50_ms", "configuration write, 1,000 connectors, p50", "ms", 10, 5, "930"),
        Figure("write_p99_ms", "configuration write, 1,000 connectors, p99", "ms", 50, 20, "2,030"),
        Figure("write_unrelated", "tasks and instances of other connectors that 300 writes restarted", "", 0, 0),
        Figure("control_ready_ms", "control plane: exec → first answer over gRPC, 1,000 connectors", "ms", 200, 50, "9,000–17,000"),
        Figure("control_restart_changes", "tasks and instances that a restart of the control plane restarted", "", 0, 0),
        Figure("agent_1000_running_s", "agent after kill -9: exec → its 1,000 tasks and instances RUNNING again", "s", 3, 1, "28"),
    ]),
    Cluster("cluster-10000", "10,000 idle tasks of 100 connectors on one agent: first sources, then sinks, each group on the same 100 partitions", [
        Figure("source_running_s", "10,000 source tasks → all RUNNING", "s"),
        Figure("source_mb", "RSS of the agent per 1,000 source tasks", "MB", 30),
        Figure("source_threads", "threads that 10,000 source tasks add", "", 0),
        Figure("source_cpu_percent", "an agent with 10,000 idle source tasks", "% of a core", 5),
        Figure("sink_running_s", "10,000 sink tasks → all RUNNING", "s"),
        Figure("sink_mb", "RSS of the agent per 1,000 sink tasks", "MB", 30),
        Figure("sink_threads", "threads that 10,000 sink tasks add", "", 0),
        Figure("sink_cpu_percent", "an agent with 10,000 idle sink tasks", "% of a core", 5),
    ]),
    Cluster("cluster-kill", "kill -9 of an agent with 300 tasks: 150 file → Kafka, 150 Kafka → file, 4 lines/s each; 3 control planes, 2 agents", [
        Figure("gap_s", "longest gap in any task's own sequence at its destination", "s", 3, 1.5, "312; tuned 10.2 (100 tasks)"),
        Figure("gap_median_s", "gap of the median task", "s"),
        Figure("source_gap_s", "longest gap of a source", "s"),
        Figure("sink_gap_s", "longest gap of a sink", "s"),
        Figure("running_s", "kill → all tasks and instances RUNNING elsewhere", "s"),
        Figure("undisturbed_ms", "longest gap while nothing happens", "ms"),
    ]),
    Cluster("cluster-move", "an agent joins two others, one is drained, one leaves: 20 file → Kafka, 20 Kafka → file, 50 lines/s each; 3 control planes", [
        Figure("drain_gap_ms", "drain: longest gap of a task that moved", "ms", 500, 100, "seconds"),
        Figure("drain_gap_median_ms", "drain: gap of the median task that moved", "ms"),
        Figure("leave_gap_ms", "leave (SIGTERM): longest gap of a task that moved", "ms", 500, 100, "seconds"),
        Figure("leave_gap_median_ms", "leave: gap of the median task that moved", "ms"),
        Figure("join_unrelated", "join: tasks and instances stopped that did not go there", "", 0, 0, "0"),
        Figure("leave_unrelated", "leave: tasks and instances stopped that were not there", "", 0, 0, "0"),
        Figure("drain_unrelated", "drain: tasks and instances stopped that were not there", "", 0, 0),
        Figure("join_s", "join: exec → connected", "s", connect="38–42"),
        Figure("drain_s", "drain: asked → nothing left", "s"),
        Figure("leave_s", "leave: SIGTERM → nothing left", "s"),
        Figure("undisturbed_ms", "longest gap while nothing happens", "ms"),
    ]),
    Cluster("cluster-leader", "kill -9 of the leader of 3 control planes, 2 agents, 40 flows at 50 lines/s", [
        Figure("write_s", "kill → next configuration write accepted", "s", 8, 6),
        Figure("carried_out_s", "kill → that write carried out: instance and task under their new configuration", "s"),
        Figure("restarted", "other tasks and instances restarted", "", 0, 0),
        Figure("gap_ms", "longest gap in any task's own sequence meanwhile", "ms"),
        Figure("undisturbed_ms", "longest gap while nothing happens", "ms"),
    ]),
    Cluster("cluster-rest", "REST API, 200 requests/s (a tenth of them configuration writes) on 1,000 connectors: 3 control planes, 2 agents; and Connect, one "
            "distributed worker, in the same round", [
        Figure("read_p99_ms", "reads, p99", "ms", 5, 2),
        Figure("read_p50_ms", "reads, p50", "ms"),
        Figure("write_p99_ms", "configuration writes, p99", "ms", 50, 20),
        Figure("write_p50_ms", "configuration writes, p50", "ms", None, 5),
        Figure("statuses_p99_ms", "all 1,000 statuses in one answer, p99", "ms", 30, 10),
        Figure("killed_read_p99_ms", "reads while an agent is killed, p99", "ms", 5, 2),
        Figure("killed_write_p99_ms", "configuration writes while an agent is killed, p99", "ms", 50, 20),
        Figure("late_p99_ms", "of these, how late the client itself was: reads and writes, p99", "ms"),
        Figure("killed_late_p99_ms", "the same while an agent is killed", "ms"),
        Figure("connect_read_p50_ms", "Connect: reads, p50", "ms"),
        Figure("connect_read_p99_ms", "Connect: reads, p99", "ms"),
        Figure("connect_write_p50_ms", "Connect: configuration writes, p50", "ms"),
        Figure("connect_write_p99_ms", "Connect: configuration writes, p99", "ms"),
        Figure("connect_refused", "Connect: requests refused, of 3,000", ""),
        Figure("connect_statuses_p99_ms", "Connect: all 1,000 statuses in one answer, p99", "ms"),
    ]),
    Cluster("cluster-scheduler", "the scheduler alone, no other process: 1,000 agents in 4 regions of 3 zones, 10,000 connectors, 100,000 tasks; medians of 11 runs", [
        Figure("cold_ms", "all tasks placed by a new leader", "ms", 100, 50),
        Figure("lost_ms", "the tasks of a lost agent placed elsewhere", "ms", 0.3, 0.1),
        Figure("joins_ms", "an agent joins: what it gets", "ms"),
        Figure("zone-lost_ms", "a zone is lost", "ms"),
        Figure("rebuild_ms", "the state of a new leader, when the tasks have owners", "ms"),
    ]),
    Cluster("cluster-agents", "1,000 simulated agents in a process of their own, one control plane", [
        Figure("rss_mb", "RSS of the control plane", "MB", 250, 150),
        Figure("cores", "CPU of the control plane, heartbeats only", "cores", 0.5, 0.2),
        Figure("connected_s", "all connected after", "s"),
        Figure("slowest_ms", "slowest acknowledgement of a heartbeat", "ms"),
    ]),
]


def millions(dray: float, connect: float, raw: float, default: float) -> dict[str, int]:
    return {arm: int(n * 1e6) for arm, n in [("dray", dray), ("connect", connect), ("raw", raw), ("default", default)] if n}


Workload = Flow | Latency | ColdStart | Conversion | Cluster

WORKLOADS: dict[str, Workload] = {w.id: w for w in [
    Flow("W1-200", "file → Kafka, lines of 200 B, 1 task, 1 partition, String", Target("6×", times=6),
         "text200", None, 1, 1, STRING, millions(14, 10, 14, 3)),
    Flow("W1-2K", "file → Kafka, lines of 2 KB, 1 task, 1 partition, String", Target("3.5×", times=3.5),
         "text2k", None, 1, 1, STRING, millions(2.5, 2.5, 2.5, 0.5)),
    Flow("W2-1", "Kafka → file, 200 B, 8 partitions, 1 task, String", Target("6×", times=6),
         "text200", "file", 8, 1, STRING, millions(16, 8, 16, 8)),
    Flow("W2-8", "Kafka → file, 200 B, 8 partitions, 8 tasks, String", Target("6×", times=6),
         "text200", "file", 8, 8, STRING, millions(16, 8, 16, 8)),
    Flow("W3-100", "Kafka → Kafka, 100 B, headers kept, 8 partitions, 1 task: whole batches passed on", Target("12×", times=12),
         "text100", "topic", 8, 1, ALL_BYTES, millions(40, 8, 0, 4)),
    Flow("W3-1K", "Kafka → Kafka, 1 KB, headers kept, 8 partitions, 1 task: whole batches passed on", Target("5×", times=5),
         "text1k", "topic", 8, 1, ALL_BYTES, millions(6, 2.5, 0, 1.5)),
    Flow("W3-100-decoded", "Kafka → Kafka, 100 B, headers kept, 8 partitions, 1 task: every record decoded and encoded", Target("4×", times=4),
         "text100", "topic", 8, 1, ALL_BYTES, millions(24, 8, 0, 4), more={"dray.pass.through": "false"}),
    Flow("discard-bytes", "Kafka → discard, 200 B, 8 partitions, 1 task, ByteArray", Target("4.5×", times=4.5),
         "text200", "discard", 8, 1, BYTES, millions(24, 24, 24, 24)),
    Flow("discard-json", "Kafka → discard, JSON of 10 fields without schema, 8 partitions, 1 task", Target("2×", times=2),
         "json", "discard", 8, 1, json_converter(False), millions(6, 8, 8, 8)),
    Flow("discard-inline", "Kafka → discard, the same JSON with an inline schema, 8 partitions, 1 task", Target("5×", times=5),
         "inline", "discard", 8, 1, json_converter(True), millions(4, 2, 4, 2)),
    Flow("W4a", "the JSON without schema through ReplaceField, InsertField, MaskField, TimestampConverter → discard", Target("5×", times=5),
         "json", "discard", 8, 1, json_converter(False), millions(6, 4, 8, 4), transforms=FOUR_TRANSFORMS),
    Flow("W4b", "the JSON with an inline schema through the same four transforms → discard", Target("7×", times=7),
         "inline", "discard", 8, 1, json_converter(True), millions(4, 2, 4, 2), transforms=FOUR_TRANSFORMS),
    Latency("W7", "latency at 1,000 lines/s, file append → topic → consumer", Target("p99 ≤ 10 ms", at_most=10),
            rate=1000, seconds=15, skip=3000),
    ColdStart("C5", "exec → first record at the destination; the empty process", Target("≤ 150 ms", at_most=150)),
    Conversion("converters-decode", "Avro in Confluent's form → Connect's records of ten fields (124 B)", Target("6×", times=6),
               "decode", millions(20, 2, 0, 0)),
    Conversion("converters-encode", "Connect's records of ten fields → Avro in Confluent's form (124 B)", Target("6×", times=6),
               "encode", millions(20, 2, 0, 0)),
    *CLUSTER,
]}


def chosen(prefix: str) -> list[Workload]:
    """The workload of this id, or all whose id begins so: `W1` is `W1-200` and `W1-2K`, `W4` is `W4a` and `W4b`."""
    if prefix in WORKLOADS:
        return [WORKLOADS[prefix]]
    return [w for w in WORKLOADS.values() if prefix and re.fullmatch(rf"{re.escape(prefix)}(-.+|[a-z])", w.id)]
