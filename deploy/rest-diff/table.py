"""What is asked, in order. Every request goes to both servers, which come to the same state by it."""

import json
from dataclasses import dataclass, field
from itertools import product
from urllib.parse import quote


@dataclass
class Ask:
    """One request. A body that is no text is sent as JSON."""
    method: str
    path: str
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)

    def bytes(self) -> bytes | None:
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False)).encode()

    def all_headers(self) -> dict[str, str]:
        default = {} if self.body is None or "Content-Type" in self.headers else {"Content-Type": "application/json"}
        return {name: value for name, value in (default | self.headers).items() if value}

    def __str__(self) -> str:
        body = "" if self.body is None else f" {(self.bytes() or b'').decode(errors='replace')}"
        headers = "".join(f" {name}={value or '(none)'}" for name, value in self.headers.items())
        return f"{self.method} {self.path}{headers}{body}"


@dataclass
class Until:
    """Waits until both servers show a connector in this state, with so many tasks in this state; `None`: until it is gone."""
    name: str
    state: str | None
    tasks: int = 0
    task_state: str = "RUNNING"
    path = "status"

    def met(self, status: int, body: bytes) -> bool:
        if self.state is None:
            return status == 404
        if status != 200:
            return False
        seen = json.loads(body)
        return seen["connector"]["state"] == self.state and [task["state"] for task in seen["tasks"]] == [self.task_state] * self.tasks


@dataclass
class UntilSome:
    """Waits until both servers show some `topics` or `offsets` of a connector, or none."""
    name: str
    path: str
    some: bool = True

    def met(self, status: int, body: bytes) -> bool:
        seen = json.loads(body) if status == 200 else {}
        return bool(seen.get(self.name, seen).get(self.path)) == self.some


SOURCE = {"connector.class": "FileStreamSource", "tasks.max": "1", "file": "/nonexistent/rest-diff", "topic": "rest-diff"}
SINK = {"connector.class": "FileStreamSink", "tasks.max": "1", "file": "/tmp/rest-diff-sink", "topics": "rest-diff"}
LONG = "org.apache.kafka.connect.file.FileStreamSourceConnector"


def create(name: str, config: object = SOURCE, **more: object) -> Ask:
    return Ask("POST", "/connectors", {"name": name, "config": config, **more})


def table(folder: str) -> list[Ask | Until | UntilSome]:
    source = SOURCE | {"file": f"{folder}/source.txt"}
    sink = SINK | {"file": f"{folder}/sink.txt"}
    steps: list[Ask | Until | UntilSome] = []
    add = steps.append

    # The server itself, with nothing in it.
    for path in ("/", "/health", "/connectors", "/connectors/", "/connectors?expand=info", "/connectors?expand=status"):
        add(Ask("GET", path))

    # Every verb on every path, where it is not one that does something.
    paths = ["/", "/health", "/connectors", "/connectors/no", "/connectors/no/config", "/connectors/no/status", "/connectors/no/restart",
             "/connectors/no/pause", "/connectors/no/resume", "/connectors/no/stop", "/connectors/no/tasks",
             "/connectors/no/topics", "/connectors/no/topics/reset",
             "/connectors/no/tasks/0/status", "/connectors/no/tasks/0/restart", "/connectors/no/tasks-config", "/connectors/no/tasks/0",
             "/connectors/no/nope", "/nope", "/connectors/no/status/more"] + MORE_PATHS
    for path, method in product(paths, ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")):
        if (method, path) not in {("POST", "/connectors"), ("PUT", "/connectors/no/config")}:
            add(Ask(method, path))

    # Content types and what is accepted.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/vnd.x+json", "application/*", "*/*", "",
                 "application/json; charset=utf-8", "APPLICATION/JSON"):
        add(Ask("POST", "/connectors", {"name": "types", "config": {}}, {"Content-Type": kind}))
        add(Ask("PUT", "/connectors/types/config", {}, {"Content-Type": kind}))
    for kind in ("text/plain", "application/json", "application/x-www-form-urlencoded"):
        for method, path in (("PUT", "/connectors/no/pause"), ("DELETE", "/connectors/no"), ("GET", "/connectors"),
                             ("GET", "/"), ("POST", "/connectors/no/restart")):
            add(Ask(method, path, None, {"Content-Type": kind}))
    for kind in ("text/html", "application/json", "application/*", "*/*", "text/html, */*;q=0.1", "text/*", "garbage",
                 "application/json;q=0", "application/xml, application/json;q=0.1"):
        for path in ("/connectors", "/", "/connectors/no", "/nope"):
            add(Ask("GET", path, None, {"Accept": kind}))

    # Bodies that are none.
    broken = ["", " ", "{", "[]", "nul", "null", '"x"', "1", "1.5", "true", "{'name':1}", '{"name":"a",}', "// c\n{}", '{"a":1}}', "[1,2",
              '{"name":"a\tb"}', b"\xff\xfe{}"]
    for body in broken:
        add(Ask("POST", "/connectors", body))
        add(Ask("PUT", "/connectors/no/config", body))
        add(Ask("PATCH", "/connectors/no/config", body))
    # Bodies that are not what they should be.
    for body in ({"x": 1}, {"name": "a", "x": 1}, {"name": 1}, {"name": "a"}, {"name": "a", "config": None}, {"name": "a", "config": []},
                 {"name": "a", "config": "x"}, {"name": "a", "config": 1}, {"name": "a", "config": {"a": {}}}, {"name": "a", "config": {"a": [1]}},
                 {"name": ["a"], "config": {}}, {"name": {}, "config": {}}, {"config": {}}, {"name": "a", "config": {}},
                 {"name": None, "config": {}}, {"name": "a", "config": {}, "initial_state": "x"}, {"name": "a", "config": {}, "initial_state": 1},
                 {"name": "a", "config": {}, "initial_state": None}, {"name": "a", "config": {}, "initial_state": {}},
                 {"name": "a", "config": {"name": "b"}}, {"name": "a", "config": {"name": None}}, {"name": "a", "config": {"connector.class": None}},
                 {"name": True, "config": {}}, {"name": 1.50, "config": {}}, {"name": " a ", "config": {"name": "a"}},
                 {"name": "a", "config": {"name": " a "}}, {"name": "\u00a0", "config": {}}):
        add(Ask("POST", "/connectors", body))
    for body in ({"name": "other"}, {}, {"a": {}}, {"a": [1]}, {"name": "no"}, {"connector.class": None}):
        add(Ask("PUT", "/connectors/no/config", body))
        add(Ask("PATCH", "/connectors/no/config", body))
    add(Ask("POST", "/connectors", '{"name":"a","name":"b","config":{}}'))

    # Names.
    for name in ("", "a b", "a%b", "a/b", "a\\b", "ü", "\U0001F980", "a;b", "a?b", "a#b", "a+b", "..", ".", "a:b@c", "'\"<>|", "x" * 300):
        for tail in ("", "/config", "/status"):
            add(Ask("GET", f"/connectors/{quote(name, safe='')}{tail}"))
    for path in ("/connectors/%FF", "/connectors/%zz", "/connectors/%", "/connectors/%00", "/connectors/a;x=1", "/connectors/a//config",
                 "//connectors", "/connectors//", "/connectors/..", "/connectors/.", "/connectors/%2e%2e", "/Connectors", "/connectors/no/tasks/x/status",
                 "/connectors/no/tasks/-1/status", "/connectors/no/tasks/99999999999/status", "/connectors/no/tasks/+0/status",
                 "/connectors/no/tasks/00/status", "/connectors/no/tasks//status", "/%63onnectors", "/" + "x" * 9000):
        add(Ask("GET", path))
    add(Ask("GET", "/connectors", None, {"X-Long": "y" * 9000}))

    # A source, from its creation on.
    for step in (create("src", source), Until("src", "RUNNING", 1), create("src", source), create(" src ", source),
                 create("src", source | {"name": "src"}), create("src", source | {"name": "other"})):
        add(step)
    add(UntilSome("src", "offsets"))
    reads = ["", "/", "/config", "/config/", "/status", "/tasks", "/tasks/", "/tasks/0/status", "/tasks/1/status", "/tasks/-1/status",
             "/tasks/+0/status", "/tasks/00/status", ";x=1", "?x=1", "/config?x", "/tasks-config"] + MORE_READS
    for tail in reads:
        add(Ask("GET", f"/connectors/src{tail}"))
    for tail in ("", "/config", "/status", "/tasks"):
        add(Ask("HEAD", f"/connectors/src{tail}"))
    queries = ("expand=info", "expand=status", "expand=info&expand=status", "expand=", "expand", "expand=x", "expand=info,status", "Expand=info",
               "expand=INFO", "expand=%69nfo", "a=b", "", "expand=info&expand=info")
    for query in queries:
        add(Ask("GET", f"/connectors?{query}"))

    # What it is to do, one after the other.
    for verb, state in (("pause", "PAUSED"), ("pause", "PAUSED"), ("resume", "RUNNING"), ("resume", "RUNNING")):
        add(Ask("PUT", f"/connectors/src/{verb}"))
        add(Until("src", state, 1, state))
        add(Ask("GET", "/connectors/src/status"))
        add(Ask("GET", "/connectors/src"))
    flags = ("", "?includeTasks=true", "?onlyFailed=true", "?includeTasks=true&onlyFailed=true", "?includeTasks=TRUE", "?includeTasks=yes",
             "?includeTasks=", "?includeTasks", "?includeTasks=false&onlyFailed=false", "?onlyFailed=True")
    for flag in flags:
        add(Ask("POST", f"/connectors/src/restart{flag}"))
        add(Until("src", "RUNNING", 1))
    for flag in flags:
        add(Ask("POST", f"/connectors/no/restart{flag}"))
    for task in ("0", "1", "-1", "x", "00", "+0", "99999999999"):
        add(Ask("POST", f"/connectors/src/tasks/{task}/restart"))
        add(Until("src", "RUNNING", 1))
    for body in ({}, "x", "[]"):
        add(Ask("PUT", "/connectors/src/pause", body))
        add(Until("src", "PAUSED", 1, "PAUSED"))
        add(Ask("PUT", "/connectors/src/resume", body))
        add(Until("src", "RUNNING", 1))
    add(Ask("PUT", "/connectors/src/stop"))
    add(Until("src", "STOPPED"))
    for tail in ("", "/status", "/tasks", "/config", "/tasks/0/status"):
        add(Ask("GET", f"/connectors/src{tail}"))
    add(Ask("PUT", "/connectors/src/stop"))
    add(Ask("POST", "/connectors/src/tasks/0/restart"))
    add(Ask("PUT", "/connectors/src/resume"))
    add(Until("src", "RUNNING", 1))

    # The topics that it uses. (No sink: both servers' would be members of one group.)
    add(create("writer", source | {"topic": "rest-diff-topics"}))
    add(UntilSome("writer", "topics"))
    for name in ("writer", "stopped", "no", "a%2Cb"):
        for tail in ("", "/", "?x=1", "/reset", "/x"):
            add(Ask("GET", f"/connectors/{name}/topics{tail}"))
        add(Ask("HEAD", f"/connectors/{name}/topics"))
        for body in (None, {}, "x"):
            add(Ask("PUT", f"/connectors/{name}/topics/reset", body))
        if name == "writer":
            # Connect forgets them when it reads in its topic of statuses that it shall.
            add(UntilSome(name, "topics", some=False))
        add(Ask("GET", f"/connectors/{name}/topics"))
    add(Ask("DELETE", "/connectors/writer"))
    add(Ask("GET", "/connectors/writer/topics"))

    # Its configuration.
    for body in (source, source | {"batch.size": 100}, source | {"x": 1.50, "y": True}, {"name": "src", **source}):
        add(Ask("PUT", "/connectors/src/config", body))
        add(Until("src", "RUNNING", 1))
        add(Ask("GET", "/connectors/src/config"))
        add(Ask("GET", "/connectors/src/tasks"))
    for body in ({"x": "1"}, {"x": 2, "y": False}, {"x": None}, {"y": None, "z": None}, {}, {"name": "src"}):
        add(Ask("PATCH", "/connectors/src/config", body))
        add(Until("src", "RUNNING", 1))
        add(Ask("GET", "/connectors/src/config"))
    for body in ({"name": "other"}, {"name": "src"}, {"connector.class": None}, {"name": ["x"]}):
        add(Ask("PATCH", "/connectors/src/config", body))
    add(Ask("GET", "/connectors/src/config"))
    for null in ("topic", "batch.size", "unknown", "tasks.max", "file", "name"):
        add(create("nulls", source | {null: None}))
        add(Ask("GET", "/connectors/nulls/config"))
        add(Ask("DELETE", "/connectors/nulls"))
        add(Ask("PUT", "/connectors/nulls/config", source | {null: None}))
        add(Ask("DELETE", "/connectors/nulls"))

    # Others beside it.
    for step in (create("stopped", source, initial_state="STOPPED"), create("paused", source, initial_state="paused"),
                 create("running", source | {"connector.class": LONG}, initial_state="Running"), create(" trimmed\t", source),
                 Ask("PUT", "/connectors/with%20space/config", source), Ask("PUT", "/connectors/%20around%20/config", source),
                 create("ünïcode", source), Ask("PUT", "/connectors/a%3Bb/config", source), create("a:b@c+d", source),
                 create("sink", sink), Until("stopped", "STOPPED"), Until("paused", "PAUSED"), Until("running", "RUNNING", 1),
                 Until("trimmed", "RUNNING", 1), Until("with space", "RUNNING", 1), Until(" around ", "RUNNING", 1),
                 Until("ünïcode", "RUNNING", 1), Until("a;b", "RUNNING", 1), Until("a:b@c+d", "RUNNING", 1), Until("sink", "RUNNING", 1)):
        add(step)
    for name in ("stopped", "paused", "running", "trimmed", "with space", " around ", "ünïcode", "a;b", "a:b@c+d", "sink"):
        for tail in ("", "/status", "/tasks", "/config"):
            add(Ask("GET", f"/connectors/{quote(name, safe='')}{tail}"))
    for query in queries:
        add(Ask("GET", f"/connectors?{query}"))
    for name, flag in product(("stopped", "paused"), ("", "?includeTasks=true", "?onlyFailed=true")):
        add(Ask("POST", f"/connectors/{name}/restart{flag}"))
        add(Until(name, name.upper()))
    more(steps, source, sink)
    loggers(steps)

    # Their end.
    for name in ("stopped", "paused", "running", "with space", "sink"):
        path = f"/connectors/{quote(name, safe='')}"
        for step in (Ask("DELETE", path), Ask("GET", path), Ask("GET", f"{path}/config"), Ask("DELETE", path), Ask("PUT", f"{path}/pause"),
                     Ask("PATCH", f"{path}/config", {"x": "1"}), Ask("GET", f"{path}/tasks")):
            add(step)
    add(Ask("DELETE", "/connectors/trimmed/"))
    add(create("trimmed", source))
    add(Until("trimmed", "RUNNING", 1))
    add(Ask("GET", "/connectors"))
    return steps


def configurations(source: dict, sink: dict) -> list[dict]:
    """Good and bad ones, for validation."""
    named, transform = source | {"name": "v"}, "org.apache.kafka.connect.transforms."
    sinks = [{}, {"topics": None}, {"topics.regex": "x.*"}, {"topics": "", "topics.regex": ""}, {"errors.deadletterqueue.topic.name": "rest-diff"},
             {"errors.deadletterqueue.topic.name": "dlq", "errors.deadletterqueue.topic.replication.factor": "x"},
             {"consumer.override.max.poll.records": "5"}, {"consumer.override.group.id": "rest-diff"}, {"topics": "a,b , c"}, {"topics": "a,a"}, {"topics": "a,,b"}, {"topics": ",,"}, {"name": ""}]
    sources = [
        {}, {"name": None}, {"name": ""}, {"name": "a\nb"}, {"tasks.max": "x"}, {"tasks.max": "0"}, {"tasks.max": None}, {"tasks.max": ""}, {"topic": ""},
        {"topic": None}, {"file": None}, {"batch.size": "x"}, {"batch.size": "0"}, {"batch.size": "99999999999"}, {"unknown": "x"}, {"unknown": None},
        {"connector.class": LONG}, {"connector.class": "FileStreamSourceConnector"}, {"tasks.max.enforce": "maybe"},
        {"errors.tolerance": "some"}, {"errors.tolerance": "ALL"}, {"errors.retry.timeout": "x"}, {"errors.retry.timeout": "-2"}, {"errors.log.enable": "perhaps"},
        {"config.action.reload": "later"}, {"exactly.once.support": "maybe"}, {"transaction.boundary": "now"}, {"transaction.boundary.interval.ms": "0"},
        {"offsets.storage.topic": " "}, {"key.converter": "org.apache.kafka.connect.json.JsonConverter"}, {"key.converter": "Nope"}, {"value.converter": ""},
        {"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "perhaps"},
        {"value.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter.converter.encoding": "UTF-8"},
        {"value.converter": "org.apache.kafka.connect.converters.LongConverter"},
        {"header.converter": "org.apache.kafka.connect.storage.SimpleHeaderConverter"}, {"header.converter": "org.apache.kafka.connect.json.JsonConverter"},
        {"transforms": "a"}, {"transforms": "a", "transforms.a.type": "Nope"}, {"transforms": "a,a", "transforms.a.type": transform + "InsertField$Value"},
        {"transforms": "a", "transforms.a.type": transform + "InsertField$Value", "transforms.a.static.field": "f", "transforms.a.static.value": "v"},
        {"transforms": "a", "transforms.a.type": transform + "InsertField"}, {"transforms": "a", "transforms.a.type": transform + "TimestampConverter$Value"},
        {"transforms": "a", "transforms.a.type": transform + "RegexRouter", "transforms.a.regex": "(", "transforms.a.replacement": "x"},
        {"transforms": "a", "transforms.a.type": transform + "RegexRouter", "transforms.a.predicate": "p"},
        {"transforms": "a", "transforms.a.type": transform + "Filter", "transforms.a.predicate": "p", "transforms.a.negate": "maybe", "predicates": "p",
         "predicates.p.type": transform + "predicates.TopicNameMatches", "predicates.p.pattern": "x"},
        {"predicates": "p", "predicates.p.type": transform + "predicates.TopicNameMatches"}, {"predicates": "p"},
        {"topic.creation.groups": "g"}, {"topic.creation.groups": "default"}, {"topic.creation.default.partitions": "1"},
        {"topic.creation.default.partitions": "0", "topic.creation.default.replication.factor": "-1"},
        {"topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1", "topic.creation.groups": "g",
         "topic.creation.g.include": "x.*"},
        {"producer.override.linger.ms": "5"}, {"producer.override.linger.ms": "x"}, {"producer.override.unknown": "x"}, {"admin.override.retries": "1"},
        {"consumer.override.max.poll.records": "5"}, {"predicates": "p,p"}]
    return [named | more for more in sources] + [sink | {"name": "v"} | more for more in sinks] + [{}, {"name": "v"}, {"connector.class": "Nope"},
            {"connector.class": None}, {"connector.class": ""}, {"connector.class": " FileStreamSource "}]


MORE_PATHS = ["/connectors/no/offsets", "/connector-plugins", "/connector-plugins/no/config", "/connector-plugins/no/config/validate", "/connector-plugins/no",
              "/admin/loggers", "/admin/loggers/no.such.logger", "/admin/loggers/a/b", "/admin"]
# Not the offsets of what runs: how far each server has come is a matter of the moment.
MORE_READS: list[str] = []


def more(steps: list[Ask | Until | UntilSome], source: dict, sink: dict) -> None:
    """Offsets; plugins, and what is wrong with configurations."""
    add = steps.append
    # Each server commits in its own time: what both have committed is compared, not who was first.
    add(UntilSome("running", "offsets"))
    add(UntilSome("sink", "offsets"))
    source_offset = {"partition": {"filename": source["file"]}, "offset": {"position": 4}}
    sink_offset = {"partition": {"kafka_topic": "rest-diff", "kafka_partition": 0}, "offset": {"kafka_offset": 1}}
    malformed: list[object] = ["", "null", "[]", "{", {}, {"x": 1}, {"key": []}, {"offsets": None}, {"offsets": []}, {"offsets": {}}, {"offsets": "x"},
                               {"offsets": [123]}, {"offsets": ["x"]}, {"offsets": [[]]}, {"offsets": [{"key": "val"}]}, {"offsets": [{"partition": []}]},
                               {"offsets": [{"partition": {}, "offset": 1}]}]
    for body in malformed:
        for name in ("no", "stopped", "running"):
            add(Ask("PATCH", f"/connectors/{name}/offsets", body))
    for body in (source_offset, source_offset | {"offset": None}, {"partition": {"filename": source["file"]}}):
        for name in ("no", "running", "stopped"):
            add(Ask("PATCH", f"/connectors/{name}/offsets", {"offsets": [body]}))
            add(Ask("GET", f"/connectors/{name}/offsets"))
    for name in ("no", "running", "stopped"):
        add(Ask("DELETE", f"/connectors/{name}/offsets"))
        add(Ask("GET", f"/connectors/{name}/offsets"))
    add(Ask("PUT", "/connectors/sink/stop"))
    add(Until("sink", "STOPPED"))
    add(Ask("GET", "/connectors/sink/offsets"))
    for body in ({}, {"partition": None, "offset": None}, {"partition": {}, "offset": None}, {"partition": {"kafka_topic": "t"}},
                 {"partition": {"kafka_topic": None, "kafka_partition": 0}}, {"partition": {"kafka_topic": "t", "kafka_partition": None}},
                 {"partition": {"kafka_topic": "t", "kafka_partition": "x"}}, sink_offset | {"offset": {}}, sink_offset | {"offset": {"kafka_offset": "x"}},
                 sink_offset | {"offset": {"kafka_offset": None}}, sink_offset, sink_offset | {"offset": {"kafka_offset": "2"}}):
        add(Ask("PATCH", "/connectors/sink/offsets", {"offsets": [body]}))
        add(Ask("GET", "/connectors/sink/offsets"))
    add(Ask("DELETE", "/connectors/sink/offsets"))
    add(Ask("GET", "/connectors/sink/offsets"))
    for query in ("", "?connectorsOnly=true", "?connectorsOnly=false", "?connectorsOnly=no", "?connectorsOnly="):
        add(Ask("GET", f"/connector-plugins{query}"))
    for plugin in ("FileStreamSource", "FileStreamSourceConnector", LONG, "FileStreamSink", "nope", "JsonConverter", "StringConverter", "RegexRouter",
                   "org.apache.kafka.connect.transforms.InsertField$Value", "TopicNameMatches", "SimpleHeaderConverter", "LongConverter"):
        add(Ask("GET", f"/connector-plugins/{quote(plugin)}/config"))
    for plugin in ("FileStreamSink", "Source", "FileStreamSource", LONG, "nope", "e", "Connector"):
        add(Ask("PUT", f"/connector-plugins/{plugin}/config/validate", source | {"name": "v"}))
    for body in ("", "null", "[]", "{", '{"a":{}}'):
        add(Ask("PUT", "/connector-plugins/FileStreamSource/config/validate", body))
    for config in configurations(source, sink):
        kind = (config.get("connector.class") or "FileStreamSource").strip()
        add(Ask("PUT", f"/connector-plugins/{quote(kind)}/config/validate", config))
    add(Ask("PUT", "/connectors/v/config", source | {"tasks.max": "x", "topic": "", "errors.tolerance": "some"}))
    for config in ({"connector.class": "Nope"}, {"connector.class": "FileStreamSource"}, source | {"tasks.max": "0"}, source | {"transforms": "a"},
                   {"connector.class": "FileStreamSink"}, source | {"key.converter": "Nope"}):
        add(create("v", config))
    add(create("", source))
    add(create("a\nb", source))
    add(Ask("PATCH", "/connectors/src/config", {"topic": None}))
    add(Ask("PATCH", "/connectors/src/config", {"name": None}))
    add(Ask("PATCH", "/connectors/src/config", {"tasks.max": "x"}))


def loggers(steps: list[Ask | Until]) -> None:
    """Levels of loggers, of the worker and of the cluster."""
    add = steps.append
    connect = "org.apache.kafka.connect"
    for path in ("", "/", "/root", "/ROOT", "/Root", f"/{connect}", f"/{connect}.runtime.Worker", "/no.such.logger", "/rest.diff", "/a%20b", "/%2F"):
        add(Ask("GET", f"/admin/loggers{path}"))
    for body in ("", "null", "[]", "{", "x", {}, {"x": "INFO"}, {"level": None}, {"level": 1}, {"level": True}, {"level": []}, {"level": {}}, {"level": ""},
                 {"level": "x"}, {"level": " INFO"}, {"level": "Loud"}, {"level": "WARNING"}):
        add(Ask("PUT", "/admin/loggers/rest.diff", body))
        add(Ask("PUT", "/admin/loggers/rest.diff?scope=cluster", body))
    for level in ("OFF", "fatal", "Error", "WARN", "INFO", "DEBUG", "trace", "ALL"):
        add(Ask("PUT", "/admin/loggers/rest.diff", {"level": level}))
        add(Ask("GET", "/admin/loggers/rest.diff"))
    for query in ("scope=worker", "scope=WORKER", "scope=x", "scope=", "scope", "Scope=cluster"):
        add(Ask("PUT", f"/admin/loggers/rest.diff?{query}", {"level": "DEBUG", "more": "x"}))
    for query in ("scope=cluster", "scope=Cluster", "scope=cluster&scope=worker"):
        add(Ask("PUT", f"/admin/loggers/rest.diff.all?{query}", {"level": "WARN"}))
    add(Ask("PUT", f"/admin/loggers/{connect}.runtime.WorkerSinkTask", {"level": "WARN"}))
    add(Ask("GET", f"/admin/loggers/{connect}.runtime.WorkerSinkTask"))
    add(Ask("GET", "/admin/loggers"))
    add(Ask("PUT", "/admin/loggers/root", {"level": "WARN"}))
    add(Ask("GET", "/admin/loggers/root"))
    add(Ask("GET", "/admin/loggers/rest.diff"))
    add(Ask("GET", "/admin/loggers/rest.diff", None, {"Accept": "text/plain"}))
    add(Ask("PUT", "/admin/loggers/rest.diff", {"level": "INFO"}, {"Content-Type": "text/plain"}))
