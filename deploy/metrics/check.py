"""Metrics and logs of real processes: a control plane over etcd with two agents, and `dray standalone`, on a real broker.

What /metrics says, in both formats, goes through the parsers of Prometheus' own Python library; the names are those of README.md, no more
and no fewer; records are counted exactly; series go with their connector. Levels that are set for the cluster reach agents, also later ones,
and every line of a task says whose it is.

  check.py fetch      puts the library into $DRAY_RIG/metrics (default: .rig in the repository) with pip; once there, needs no network
  check.py            runs it; DRAY_TEST_ETCD and DRAY_TEST_BOOTSTRAP name the servers
"""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RIG = Path(os.environ.get("DRAY_RIG", ROOT / ".rig"))
LIBRARY = RIG / "metrics"
VERSION = "0.26.0"
BINARIES = Path(os.environ.get("DRAY_BINARIES", Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"))
# How long anything may take on a loaded machine.
PATIENCE = 90.0
RECORDS = 2_000
SOURCE, SINK = "io.dray.connect.datagen.DatagenSourceConnector", "io.dray.connect.blackhole.BlackholeSinkConnector"
OPEN, PLAIN = "application/openmetrics-text; version=1.0.0", "text/plain; version=0.0.4"


class Failed(Exception):
    """Said in one line; the run ends."""


def fetch() -> None:
    if (LIBRARY / "prometheus_client").is_dir():
        return
    LIBRARY.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix="metrics.", dir=LIBRARY.parent))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore", "--no-deps", "--target", new, f"prometheus-client=={VERSION}"]
    if subprocess.run(command).returncode != 0:
        shutil.rmtree(new)
        raise Failed("pip could not fetch prometheus-client")
    shutil.rmtree(LIBRARY, ignore_errors=True)
    new.rename(LIBRARY)


def until(what: str, condition):
    end = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(0.1)


class Process:
    """One of our binaries. It ends with the `with`, by its own pid."""

    def __init__(self, name: str, folder: Path, *arguments: object):
        self.name, self.log = name, folder / f"{name}.log"
        with open(self.log, "wb") as log:
            words = [str(word) for word in arguments]
            environment = {key: value for key, value in os.environ.items() if key != "DRAY_LOG"}
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True)
        self.port: int | None = None

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def lines(self) -> list[dict]:
        """What it has logged. The last line may be half written."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def listening(self, message: str) -> "Process":
        def port() -> int | None:
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended with {self.process.returncode}:\n{self.log.read_text(errors='replace')[-3000:]}")
            said = [line["address"] for line in self.lines() if line.get("message") == message]
            return int(said[0].rsplit(":", 1)[1]) if said else None
        self.port = until(f"{self.name} listens", port)
        return self

    def ask(self, method: str, path: str, body: object = None, accept: str | None = None) -> tuple[int, str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            headers = {"Content-Type": "application/json"} | ({"Accept": accept} if accept else {})
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type", ""), answer.read().decode()
        finally:
            connection.close()

    def metrics(self) -> "Metrics":
        return Metrics(self)


class Metrics:
    """What a process says, read by Prometheus' own parsers; both formats have to say the same names."""

    def __init__(self, process: Process):
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
        from prometheus_client.parser import text_string_to_metric_families as read_plain
        families = {}
        for accept, read in ((OPEN, read_open), (PLAIN, read_plain)):
            status, kind, text = process.ask("GET", "/metrics", accept=accept)
            if status != 200 or not kind.startswith(accept):
                raise Failed(f"{process.name}: /metrics answers {status} {kind}")
            families[accept] = list(read(text))
        self.name = process.name
        self.families = {family.name: family for family in families[OPEN]}
        # Families, and not their series: those may come and go between the two.
        plain = {family.name.removesuffix("_info") for family in families[PLAIN]}
        if plain != set(self.families):
            raise Failed(f"{self.name}: only one format has {sorted(plain ^ set(self.families))}")
        empty = [family.name for family in families[OPEN] if not family.documentation]
        if empty:
            raise Failed(f"{self.name}: nothing is said of {empty}")

    def samples(self, **labels: str) -> list:
        every = (sample for family in self.families.values() for sample in family.samples)
        return [sample for sample in every if all(sample.labels.get(key) == value for key, value in labels.items())]

    def value(self, name: str, **labels: str) -> float | None:
        found = [sample.value for sample in self.samples(**labels) if sample.name == name]
        return sum(found) if found else None


def documented() -> dict[str, set[str]]:
    """The names of README.md, by section."""
    sections: dict[str, set[str]] = {}
    section = ""
    for line in Path(__file__).with_name("README.md").read_text().splitlines():
        if line.startswith("## "):
            section = line[3:].strip()
        found = re.match(r"\| `([a-z_]+)` \| (counter|gauge|info|histogram) \|", line)
        if found:
            name, kind = found.groups()
            suffix = {"counter": "_total", "info": "_info"}.get(kind, "")
            if not name.endswith(suffix):
                raise Failed(f"README.md: {name} is a {kind}, so its name ends with {suffix}")
            sections.setdefault(section, set()).add(name.removesuffix(suffix))
    return sections


def same_names(metrics: Metrics, *sections: str) -> None:
    table = documented()
    expected = set().union(*(table[section] for section in sections))
    found = set(metrics.families)
    if found != expected:
        raise Failed(f"{metrics.name}: README.md lacks {sorted(found - expected)}, and has too much {sorted(expected - found)}")


def flows(process: Process, agents: list[Process]) -> None:
    """Records run through a source and a sink, are counted exactly, and their series go with them."""
    source = {"connector.class": SOURCE, "topic": f"metrics-{process.name}", "rate": "0", "count": str(RECORDS), "tasks.max": "1"}
    sink = {"connector.class": SINK, "topics": f"metrics-{process.name}", "tasks.max": "1"}
    names = f"source {process.name}", f"sink \"{process.name}\""

    def create(name: str, config: dict) -> None:
        status, _, text = process.ask("POST", "/connectors", {"name": name, "config": config})
        if status != 201:
            raise Failed(f"{process.name}: POST /connectors answers {status} {text}")

    def total(name: str, connector: str) -> float:
        return sum(agent.metrics().value(name, connector=connector) or 0 for agent in agents)
    prefix = "kafka_connect_"
    create(names[0], source)
    until("the topic is there", lambda: total(prefix + "source_task_source_record_write_total", names[0]) > 0)
    create(names[1], sink)
    counts = ((names[0], "source_task_source_record_poll_total"), (names[0], "source_task_source_record_write_total"),
              (names[1], "sink_task_sink_record_read_total"), (names[1], "sink_task_sink_record_send_total"))
    for connector, name in counts:
        until(f"{name} is {RECORDS}", lambda: total(prefix + name, connector) >= RECORDS)
        if (found := total(prefix + name, connector)) != RECORDS:
            raise Failed(f"{process.name}: {name} is {found} after {RECORDS} records")
    for connector, name in ((names[0], "dray_source_record_latency_seconds_count"), (names[1], "dray_sink_record_latency_seconds_count")):
        if (found := total(name, connector)) != RECORDS:
            raise Failed(f"{process.name}: {name} is {found} after {RECORDS} records")
    for connector, name in ((names[0], "kafka_producer_record_send_total"), (names[0], "kafka_producer_topic_record_send_total"),
                            (names[1], "kafka_consumer_fetch_manager_records_consumed_total")):
        if (found := total(name, connector)) != RECORDS:
            raise Failed(f"{process.name}: {name} is {found} after {RECORDS} records")
    until("the sink's offsets are committed", lambda: total("kafka_consumer_coordinator_commit_total", names[1]) > 0)
    lag = "kafka_consumer_fetch_manager_records_lag"
    until("the sink has read all", lambda: 0.0 in [agent.metrics().value(lag, connector=names[1]) for agent in agents])
    for name, connector in (("kafka_producer_byte_total", names[0]), ("kafka_producer_request_latency_avg", names[0]),
                            ("kafka_producer_buffer_available_bytes", names[0]), ("kafka_consumer_fetch_manager_bytes_consumed_total", names[1]),
                            ("kafka_consumer_fetch_manager_fetch_latency_max", names[1]), ("kafka_consumer_coordinator_commit_latency_avg", names[1]),
                            ("kafka_consumer_coordinator_heartbeat_total", names[1])):
        if not total(name, connector) > 0:
            raise Failed(f"{process.name}: {name} is {total(name, connector)} after {RECORDS} records")
    if (found := total("kafka_consumer_coordinator_assigned_partitions", names[1])) < 1:
        raise Failed(f"{process.name}: the sink's consumer has {found} partitions")
    seen = process.metrics()
    for name in names:
        for what, state in (("wanted", "started"), ("actual", "running")):
            until(f"{name} is {what} {state}", lambda: process.metrics().value(f"dray_connector_{what}", connector=name, state=state) == 1)
    if seen.value("dray_tasks_wanted", state="started") != 2:
        raise Failed(f"{process.name}: wanted tasks are {seen.value('dray_tasks_wanted', state='started')}")
    for name in names:
        process.ask("DELETE", "/connectors/" + name.replace(" ", "%20").replace('"', "%22"))
        everybody = {process.name: process} | {agent.name: agent for agent in agents}
        until(f"no series of {name}", lambda: not any(one.metrics().samples(connector=name) for one in everybody.values()))


def logs(control: Process, agent: Process, later) -> None:
    """Levels for the cluster, for a connector, and for an agent that comes later."""
    def put(path: str, expected: int) -> None:
        status, _, text = control.ask("PUT", path, {"level": "DEBUG"})
        if status != expected:
            raise Failed(f"PUT {path} answers {status} {text}")
    put("/admin/loggers/org.apache.kafka.connect.runtime.WorkerConnector?scope=cluster", 204)
    put("/admin/loggers/dray.connector.told?scope=cluster", 204)
    levels = lambda: json.loads(control.ask("GET", "/admin/loggers")[2])
    until("the replica has the level", lambda: levels().get("dray.connector.told", {}).get("level") == "DEBUG")
    for name in ("told", "not-told"):
        config = {"connector.class": SOURCE, "topic": "metrics-logs", "rate": "10", "tasks.max": "1"}
        control.ask("POST", "/connectors", {"name": name, "config": config})

    def of(process: Process, name: str, level: str) -> list[dict]:
        about = lambda line: name in (line.get("span", {}).get("connector"), line.get("connector"))
        return [line for line in process.lines() if about(line) and line["level"] == level]
    until("both connectors say that they run", lambda: all(of(agent, name, "INFO") for name in ("told", "not-told")))
    until("one of them says more", lambda: of(agent, "told", "DEBUG"))
    if found := of(agent, "not-told", "DEBUG"):
        raise Failed(f"the other one says more as well: {found[0]}")
    running = [line for line in of(agent, "told", "INFO") if line["message"] == "task is running"]
    span = running[0]["span"]
    if (span["connector"], span["task"]) != ("told", 0) or int(span["generation"]) <= 0:
        raise Failed(f"a task's line does not say whose it is: {running[0]}")
    with later() as late:
        control.ask("DELETE", "/connectors/told")
        agent.process.terminate()
        until("the later agent runs a connector", lambda: of(late, "not-told", "INFO"))
        control.ask("POST", "/connectors", {"name": "told", "config": {"connector.class": SOURCE, "topic": "metrics-logs", "rate": "10"}})
        until("the later agent has the cluster's levels", lambda: of(late, "told", "DEBUG"))


def main() -> None:
    fetch()
    sys.path.insert(0, str(LIBRARY))
    etcd, bootstrap = os.environ.get("DRAY_TEST_ETCD"), os.environ.get("DRAY_TEST_BOOTSTRAP")
    if not etcd or not bootstrap:
        raise Failed("DRAY_TEST_ETCD and DRAY_TEST_BOOTSTRAP name no servers: run `make metrics`")
    folder = Path(tempfile.mkdtemp(prefix="dray-metrics."))
    cluster = f"metrics-{os.getpid()}"
    worker = folder / "worker.properties"
    string = "org.apache.kafka.connect.storage.StringConverter"
    worker.write_text(
        f"bootstrap.servers={bootstrap}\nkey.converter={string}\nvalue.converter={string}\noffset.flush.interval.ms=500\n"
        f"listeners=http://127.0.0.1:0\ngroup.id={cluster}\noffset.storage.topic={cluster}-offsets\noffset.storage.replication.factor=1\n"
        f"offset.storage.partitions=1\nstatus.storage.topic={cluster}-status\nstatus.storage.replication.factor=1\nstatus.storage.partitions=1\n")
    alone = folder / "standalone.properties"
    alone.write_text(worker.read_text().replace("offset.storage.topic", "unused") + f"offset.storage.file.filename={folder}/offsets\n")

    def agent(name: str, control: Process) -> Process:
        return Process(name, folder, BINARIES / "dray-agent", "--cluster", cluster, "--control", f"127.0.0.1:{control.port}", "--agent-id", name,
                       "--data-dir", folder / name, "--metrics-listen", "127.0.0.1:0", "--log", "json").listening("serving /metrics")
    try:
        with Process("control", folder, BINARIES / "dray-control", "--etcd", etcd, "--listen", "127.0.0.1:0", "--worker-config", worker,
                     "--log", "json") as control:
            control.listening("listening")
            same_names(control.metrics(), "Every process", "Control plane")
            with agent("agent-1", control) as one:
                same_names(one.metrics(), "Every process", "Agent", "Connectors and tasks", "Kafka's clients")
                until("the leader hears the agent", lambda: control.metrics().value("dray_agent_connected", agent="agent-1") == 1)
                flows(control, [one])
                logs(control, one, lambda: agent("agent-2", control))
        with Process("standalone", folder, BINARIES / "dray", "--log-json", "standalone", alone) as standalone:
            standalone.listening("listening")
            until("the agent within is there", lambda: "dray_agent_session" in standalone.ask("GET", "/metrics")[2])
            same_names(standalone.metrics(), "Every process", "Control plane", "Agent", "Connectors and tasks", "Kafka's clients")
            flows(standalone, [standalone])
    except BaseException:
        for log in sorted(folder.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("metrics: all as README.md has it, on a control plane, an agent and standalone")


if __name__ == "__main__":
    try:
        fetch() if sys.argv[1:] == ["fetch"] else main()
    except Failed as failed:
        sys.exit(f"metrics: {failed}")
