"""The workloads: what moves, how many records for each arm, and what the first target is.

Records are chosen so that a run takes about ten seconds or more on one core of a small machine; an arm that is slower may take fewer.
"""

import re
from dataclasses import dataclass, field

STRING = {"key.converter": "org.apache.kafka.connect.storage.StringConverter",
          "value.converter": "org.apache.kafka.connect.storage.StringConverter"}
BYTES = {"key.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
         "value.converter": "org.apache.kafka.connect.converters.ByteArrayConverter"}


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
    """The first target: at least `times` cheaper than tuned Connect, or at most `over_raw` CPU-seconds per million above librdkafka."""
    text: str
    times: float | None = None
    over_raw: float | None = None
    at_most: float | None = None  # of the workload's own unit


@dataclass(frozen=True)
class Flow:
    """A source (file to topic) or a sink (topic to file, or to nowhere), measured in CPU-seconds per million records."""
    id: str
    what: str
    target: Target
    kind: str  # of the records, see raw/src/input.rs
    sink: str | None  # None: a source; else "file" or "discard"
    partitions: int
    tasks: int
    converters: dict[str, str]
    records: dict[str, int]  # in millions: dray, connect, raw, default
    profile: bool = False  # one more run, under perf
    transforms: dict[str, str] = field(default_factory=dict)
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


def millions(dray: float, connect: float, raw: float, default: float) -> dict[str, int]:
    return {arm: int(n * 1e6) for arm, n in [("dray", dray), ("connect", connect), ("raw", raw), ("default", default)]}


Workload = Flow | Latency | ColdStart

WORKLOADS: dict[str, Workload] = {w.id: w for w in [
    Flow("W1-200", "file → Kafka, lines of 200 B, 1 task, 1 partition, String", Target("raw + 0.15", over_raw=0.15),
         "text200", None, 1, 1, STRING, millions(14, 10, 14, 3), profile=True),
    Flow("W1-2K", "file → Kafka, lines of 2 KB, 1 task, 1 partition, String", Target("2×", times=2),
         "text2k", None, 1, 1, STRING, millions(2.5, 2.5, 2.5, 0.5)),
    Flow("W2-1", "Kafka → file, 200 B, 8 partitions, 1 task, String", Target("3×", times=3),
         "text200", "file", 8, 1, STRING, millions(16, 8, 16, 8)),
    Flow("W2-8", "Kafka → file, 200 B, 8 partitions, 8 tasks, String", Target("3×", times=3),
         "text200", "file", 8, 8, STRING, millions(16, 8, 16, 8)),
    Flow("discard-bytes", "Kafka → discard, 200 B, 8 partitions, 1 task, ByteArray", Target("1.5×", times=1.5),
         "text200", "discard", 8, 1, BYTES, millions(24, 24, 24, 24)),
    Flow("discard-json", "Kafka → discard, JSON of 10 fields without schema, 8 partitions, 1 task", Target("2×", times=2),
         "json", "discard", 8, 1, json_converter(False), millions(6, 8, 8, 8), profile=True),
    Flow("discard-inline", "Kafka → discard, the same JSON with an inline schema, 8 partitions, 1 task", Target("5×", times=5),
         "inline", "discard", 8, 1, json_converter(True), millions(4, 2, 4, 2)),
    Flow("W4a", "the JSON without schema through ReplaceField, InsertField, MaskField, TimestampConverter → discard", Target("3×", times=3),
         "json", "discard", 8, 1, json_converter(False), millions(6, 4, 8, 4), profile=True, transforms=FOUR_TRANSFORMS),
    Flow("W4b", "the JSON with an inline schema through the same four transforms → discard", Target("5×", times=5),
         "inline", "discard", 8, 1, json_converter(True), millions(4, 2, 4, 2), transforms=FOUR_TRANSFORMS),
    Latency("W7", "latency at 1,000 lines/s, file append → topic → consumer", Target("p99 ≤ 10 ms", at_most=10),
            rate=1000, seconds=15, skip=3000),
    ColdStart("C5", "exec → first record at the destination; the empty process", Target("≤ 150 ms", at_most=150)),
]}


def chosen(prefix: str) -> list[Workload]:
    """The workload of this id, or all whose id begins so: `W1` is `W1-200` and `W1-2K`, `W4` is `W4a` and `W4b`."""
    if prefix in WORKLOADS:
        return [WORKLOADS[prefix]]
    return [w for w in WORKLOADS.values() if prefix and re.fullmatch(rf"{re.escape(prefix)}(-.+|[a-z])", w.id)]
