"""The arms: Dray, the real Kafka Connect, librdkafka. Each moves the same records, and all are measured from outside, in the same way.

The clock and the CPU time run from exec (Dray, raw) or from the request that creates the connector (Connect, whose JVM is warm) to the moment at
which the destination has everything: a topic by its end offsets, a sink by the offsets that its group has committed.
"""

import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from servers import (ARM_CORE, DESTINATION, DRAY, RAW, RIG, ROOT, Failed, Process, Rig, cpu_seconds, free_port, status_kb, tail)
from workloads import STRING, Flow

COMMIT_MS = "1000"
TUNED_SOURCE = {"producer.override.linger.ms": "5", "producer.override.batch.size": "524288",
                "producer.override.max.in.flight.requests.per.connection": "5", "producer.override.enable.idempotence": "true",
                "batch.size": "10000"}
TUNED_SINK = {"consumer.override.max.poll.records": "10000", "consumer.override.max.partition.fetch.bytes": "8388608",
              "consumer.override.fetch.max.bytes": "52428800", "consumer.override.fetch.min.bytes": "65536"}
TUNED_MIRROR = {key: value for key, value in TUNED_SOURCE.items() if key != "batch.size"} | {
    key.replace("consumer.override.", "source.consumer."): value for key, value in TUNED_SINK.items()}
# Nothing beside the records: what Dray does not do yet, Connect need not do either.
ONLY_RECORDS = {"replication.factor": "1", "refresh.topics.enabled": "false", "heartbeats.replication.enabled": "false",
                "sync.topic.configs.enabled": "false", "sync.topic.acls.enabled": "false", "emit.offset-syncs.enabled": "false"}
TUNED = {"source": TUNED_SOURCE, "sink": TUNED_SINK, "mirror": TUNED_MIRROR}
# The way back from Dray's own client.
LIBRDKAFKA = {"dray.kafka.client": "librdkafka"}
# Dray's producer settings with librdkafka; a consumer is as librdkafka ships it.
RAW_PRODUCER = {"acks": "all", "max.in.flight": "1", "linger.ms": "5", "batch.size": "524288", "message.max.bytes": "1048576",
                "queue.buffering.max.messages": "0", "queue.buffering.max.kbytes": "131072"}
JVM = ["-Xms2g", "-Xmx2g", "-XX:+UseG1GC"]
# What connect-standalone.sh gives it: a heap that is there from the start would tell nothing about an empty process.
JVM_AS_SHIPPED = ["-Xms256m", "-Xmx2g", "-XX:+UseG1GC"]

# What each arm promises, printed with every result: a comparison of costs says nothing without it.
GUARANTEES = {
    "source": {
        "dray": "as it ships: acks=all, 5 in flight, idempotent, linger 5 ms, batches to 512 KB; offsets committed every 1 s",
        "connect": "acks=all, 5 in flight, idempotent, linger 5 ms, batches to 512 KB, batch.size=10000; offsets every 1 s",
        "default": "acks=all, 1 in flight, not idempotent, linger 5 ms, batches to 16 KB; offsets every 1 s (its default: 60 s)",
        "raw": "acks=all, 1 in flight, not idempotent, linger 5 ms, batches to 512 KB; rd_kafka_produce_batch, nothing copied, no offsets kept",
        "dray librdkafka": "dray.kafka.client=librdkafka: acks=all, 1 in flight, not idempotent, linger 5 ms, batches to 512 KB; offsets every 1 s",
    },
    "sink": {
        "dray": "as it ships; offsets committed every 1 s, after a flush (to the disk, for files)",
        "connect": "max.poll.records=10000, max.partition.fetch.bytes=8 MB, fetch.max.bytes=50 MB, fetch.min.bytes=64 KB; offsets every 1 s",
        "default": "the consumer's defaults; offsets every 1 s (its default: 60 s)",
        "raw": "assigned partitions, rd_kafka_consume_batch_queue; nothing is converted; offsets committed once, at the end",
        "dray librdkafka": "dray.kafka.client=librdkafka; offsets committed every 1 s, after a flush",
    },
    "mirror": {
        "dray": "as it ships: acks=all, 5 in flight, idempotent, linger 5 ms, batches to 512 KB where they are not passed on; offsets every 1 s",
        "connect": "MirrorSourceConnector without offset syncs, configuration and ACL sync; acks=all, 5 in flight, idempotent, linger 5 ms, "
                   "batches to 512 KB; max.poll.records=10000, fetches to 8 MB a partition; offsets every 1 s",
        "default": "the same connector with the defaults of producer and consumer; offsets every 1 s (its default: 60 s)",
        "dray librdkafka": "dray.kafka.client=librdkafka: every record decoded; acks=all, 1 in flight, not idempotent, linger 5 ms, batches to "
                           "512 KB; offsets every 1 s",
    },
}


@dataclass(frozen=True)
class Input:
    """`records` records: the lines of `file` for a source, the records of `topic` for a sink."""
    records: int
    checksum: str  # of what a file sink has to write
    file: Path
    topic: str


@dataclass(frozen=True)
class Run:
    records: int
    seconds: float
    cpu_seconds: float
    # The same from the first record seen at the destination on: without starting up. None where nothing was seen on the way.
    flowing_seconds: float | None
    flowing_cpu_seconds: float | None
    peak_rss_mb: float

    def result(self) -> dict[str, float | int | None]:
        return asdict(self) | {"cpu_s_per_million": self.cpu_seconds / self.records * 1e6, "records_per_s": self.records / self.seconds}


@dataclass(frozen=True)
class Engine:
    """A running connector: the process that does the work, and what the clocks showed before it began."""
    pid: int
    began: float
    cpu_before: float
    alive: Callable[[], None]


def connector(rig: Rig, flow: Flow, data: Input, name: str, arm: "Dray | Connect", out: Path) -> dict[str, str]:
    config = {"name": name, "tasks.max": str(flow.tasks), **flow.converters, **flow.transforms, **flow.more}
    if flow.sink is None:
        return config | {"connector.class": "FileStreamSource", "file": str(data.file), "topic": name}
    if flow.sink == "file":
        return config | {"connector.class": "FileStreamSink", "file": str(out), "topics": data.topic}
    if flow.sink == "topic":
        # Named after the run, the source gives its copy a name of its own.
        return config | {"connector.class": arm.mirror, "source.cluster.alias": name, "topics": data.topic, **ONLY_RECORDS,
                         "source.cluster.bootstrap.servers": rig.bootstrap, "target.cluster.bootstrap.servers": rig.bootstrap}
    return config | {"connector.class": arm.discard, "topics": data.topic}


class Dray:
    """`dray standalone`, started anew for each run."""
    discard = "io.dray.connect.blackhole.BlackholeSinkConnector"
    mirror = "io.dray.connect.mirror.MirrorSourceConnector"

    def __init__(self, rig: Rig, overrides: dict[str, str] | None = None):
        self.rig, self.overrides, self.log = rig, overrides or {}, rig.folder / "dray.log"

    def worker(self, name: str) -> Path:
        return self.rig.properties(f"{name}.worker.properties", {
            "bootstrap.servers": self.rig.bootstrap, **STRING, "offset.flush.interval.ms": COMMIT_MS, "listeners": "http://127.0.0.1:0",
            "offset.storage.file.filename": str(self.rig.folder / f"{name}.offsets")})

    def start(self, name: str, *connectors: Path) -> Process:
        return Process([DRAY, "standalone", self.worker(name), *connectors], ARM_CORE, self.log, env={"DRAY_LOG": "info"})

    @contextmanager
    def running(self, config: dict[str, str]) -> Iterator[Engine]:
        self.log.write_text("")
        file = self.rig.properties(f"{config['name']}.properties", config | self.overrides)
        with self.start(config["name"], file) as process:
            def alive() -> None:
                process.check()
                if re.search(r"\bERROR\b", self.log.read_text()):
                    raise Failed(f"dray:\n{tail(self.log)}")
            yield Engine(process.pid, process.started, 0.0, alive)
            if process.stop() != 0:
                raise Failed(f"dray ended with {process.child.returncode}:\n{tail(self.log)}")

    def discarded(self, _name: str) -> int:
        return sum(map(int, re.findall(r"blackhole task took its last record.* records=(\d+)", self.log.read_text())))


class Connect:
    """A worker of the real Kafka Connect (`connect-standalone` with its REST API), alive over all rounds."""
    discard = "bench.DiscardSink"
    mirror = "org.apache.kafka.connect.mirror.MirrorSourceConnector"

    def __init__(self, rig: Rig, overrides: dict[str, str], like: "Connect | None" = None):
        self.rig, self.overrides = rig, overrides
        if like is not None:  # the same worker, other overrides
            self.url, self.process, self.log = like.url, like.process, like.log
            return
        port = free_port()
        self.url, self.log = f"http://127.0.0.1:{port}", rig.folder / "connect.log"
        self.process = Process(command(rig, port, JVM), ARM_CORE, self.log)
        try:
            answers(self.url, self.process)
        except BaseException:
            self.process.stop()
            raise

    def __enter__(self) -> "Connect":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()

    def call(self, method: str, path: str, body: dict[str, object] | None = None) -> object:
        request = urllib.request.Request(self.url + path, method=method, data=json.dumps(body).encode() if body else None,
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or "{}")
        except urllib.error.HTTPError as error:
            raise Failed(f"{method} {path}: {error.code} {error.read().decode()}") from error
        except OSError as error:
            raise Failed(f"{method} {path}: {error}\n{tail(self.log)}") from error

    @contextmanager
    def running(self, config: dict[str, str]) -> Iterator[Engine]:
        name = config["name"]
        asked = time.monotonic()

        def alive() -> None:
            nonlocal asked
            self.process.check()
            if time.monotonic() - asked > 5:  # rarely: it is the measured process that answers
                asked = time.monotonic()
                status = json.dumps(self.call("GET", f"/connectors/{name}/status"))
                if "FAILED" in status:
                    raise Failed(f"Connect: {status}")

        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")  # the peak of this run, not of those before
        cpu, began = cpu_seconds(self.process.pid), time.monotonic()
        self.call("POST", "/connectors", {"name": name, "config": config | self.overrides})
        try:
            yield Engine(self.process.pid, began, cpu, alive)
        finally:
            self.call("DELETE", f"/connectors/{name}")

    def discarded(self, name: str) -> int:
        """The tasks write their count when they stop, which is after DELETE has answered."""
        deadline = time.monotonic() + 30
        while not (found := re.findall(rf"discard task of {name} took records=(\d+)", self.log.read_text())):
            if time.monotonic() > deadline:
                raise Failed(f"{name} does not stop:\n{tail(self.log)}")
            time.sleep(0.1)
        return sum(map(int, found))


def answers(url: str, process: Process) -> float:
    """Waits until the REST API is there (before that it may answer 404); milliseconds since exec."""
    while True:
        try:
            urllib.request.urlopen(url + "/", timeout=60).close()
            return (time.monotonic() - process.started) * 1e3
        except OSError:
            process.check()
            time.sleep(0.01)


def installed(rig: Rig) -> tuple[Path, str]:
    """plugin.path with Connect's file and mirror connectors and our discarding sink, and the class path with the rest of the distribution."""
    libs, plugins = RIG / "kafka/libs", rig.folder / "plugins"
    if not plugins.exists():
        (plugins / "discard").mkdir(parents=True)
        for plugin, jars in [("connect-file", libs.glob("connect-file-*.jar")), ("connect-mirror", (libs / "mirror").glob("*.jar"))]:
            (plugins / plugin).mkdir()
            for jar in jars:
                os.symlink(jar.resolve(), plugins / plugin / jar.name)
        subprocess.run(["javac", "--release", "17", "-proc:none", "-cp", f"{libs}/*", "-d", plugins / "discard",
                        ROOT / "deploy/bench/java/DiscardSink.java"], check=True)
        services = plugins / "discard/META-INF/services"
        services.mkdir(parents=True)
        (services / "org.apache.kafka.connect.sink.SinkConnector").write_text("bench.DiscardSink\n")
    return plugins, ":".join(str(jar) for jar in sorted(libs.glob("*.jar")) if not jar.name.startswith("connect-file-"))


def java(rig: Rig, port: str, jvm: list[str], main: str, settings: dict[str, str], *more: Path) -> list[str | Path]:
    """A worker of Connect, its REST API on this port."""
    plugins, path = installed(rig)
    worker = rig.properties(f"connect-{port}.properties", {
        "bootstrap.servers": rig.bootstrap, **STRING, "plugin.path": str(plugins), "listeners": f"http://127.0.0.1:{port}",
        "connector.client.config.override.policy": "All", **settings})
    return ["java", *jvm, f"-Dlog4j2.configurationFile={ROOT / 'deploy/rig/log4j2.properties'}", "-cp", path,
            f"org.apache.kafka.connect.cli.{main}", worker, *more]


def command(rig: Rig, port: str, jvm: list[str], *connectors: Path) -> list[str | Path]:
    """connect-standalone."""
    offsets = str(rig.folder / f"connect-{port}.offsets")
    return java(rig, port, jvm, "ConnectStandalone", {"offset.flush.interval.ms": COMMIT_MS, "offset.storage.file.filename": offsets}, *connectors)


def distributed(rig: Rig, port: str, jvm: list[str]) -> list[str | Path]:
    """connect-distributed, alone in its group."""
    topics = {f"{what}.storage.topic": f"connect-{what}" for what in ["config", "offset", "status"]}
    return java(rig, port, jvm, "ConnectDistributed", {
        "group.id": "connect", **topics, **{key.replace(".topic", ".replication.factor"): "1" for key in topics}})


def engine_run(rig: Rig, arm: Dray | Connect, flow: Flow, data: Input, name: str,
               begun: Callable[[int], None] = lambda pid: None) -> Run:
    """One run of Dray or Connect, checked at the destination. `begun` is called with the pid once it runs."""
    out = rig.folder / f"{name}.out"
    config = connector(rig, flow, data, name, arm, out)
    with destination(rig, flow, data, name, out) as look:
        with rig.watch(*look) as eye, arm.running(config) as engine:
            begun(engine.pid)
            first = rig.expect(eye, "first", engine.alive)
            cpu_first = cpu_seconds(engine.pid)
            last = rig.expect(eye, "last", engine.alive)
            cpu_last = cpu_seconds(engine.pid)
            peak = status_kb(engine.pid, "VmHWM") / 1024
        if flow.sink == "discard" and (count := arm.discarded(name)) != data.records:
            raise Failed(f"{name} took {count} records instead of {data.records}")
    return Run(data.records, last - engine.began, cpu_last - engine.cpu_before, last - first, cpu_last - cpu_first, peak)


def raw_run(rig: Rig, flow: Flow, data: Input, name: str) -> Run:
    """One run of the raw client, from exec to exit."""
    out = rig.folder / f"{name}.out"
    if flow.sink is None:
        args = ["produce", rig.bootstrap, name, data.file, *(f"{k}={v}" for k, v in RAW_PRODUCER.items())]
    else:
        args = ["consume", rig.bootstrap, data.topic, out if flow.sink == "file" else "-"]
    with destination(rig, flow, data, name, out):
        with Process([RAW, *args], ARM_CORE, rig.errors, pipe=True) as client:
            said = json.loads(client.line())
            _, status, usage = os.wait4(client.pid, 0)
            last = time.monotonic()
            client.child.returncode = os.waitstatus_to_exitcode(status)
        if client.child.returncode != 0 or said["records"] != data.records:
            raise Failed(f"{client.command}: {said}\n{tail(rig.errors)}")
    return Run(data.records, last - client.started, usage.ru_utime + usage.ru_stime, None, None, said["peak_rss_kb"] / 1024)


@contextmanager
def destination(rig: Rig, flow: Flow, data: Input, name: str, out: Path) -> Iterator[list[object]]:
    """Makes the destination, yields how to look at it, and counts there once more when everything has stopped."""
    if flow.sink in [None, "topic"]:
        topic = name if flow.sink is None else f"{name}.{data.topic}"
        look: list[object] = ["arrived", rig.bootstrap, topic, data.records]
        with rig.topic(topic, flow.partitions, DESTINATION):
            yield look
            rig.raw(*look)  # more than there should be is an error here
    else:
        look = ["committed", rig.bootstrap, data.topic, f"connect-{name}"]
        try:
            yield look
            if flow.sink == "file" and (found := rig.raw("checksum", out)) != data.checksum:
                raise Failed(f"{name} wrote {found} instead of {data.checksum}")
        finally:
            out.unlink(missing_ok=True)
    os.sync()  # what this run left to the disk is not the next one's
