"""Asks the real Kafka Connect and Dray the same, and compares status, headers that matter, and bodies.

  diff.py [--cluster] [WORD]     all of table.py, or with WORD only the differences of requests that contain it are shown (all are asked)

Dray is `dray standalone`, or with --cluster a replica that does not lead, one of three, with an agent. Runs under deploy/rig/with-broker.sh,
a cluster under deploy/rig/with-etcd.sh as well. Every difference has to be one that exceptions.toml names; every exception has to be met. Exit 1 otherwise.
"""

import json
import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from servers import Agent, Answer, Connect, Dray, Failed, Replica, Server, until
from table import Ask, Until, UntilSome, table

# Objects whose keys are the user's or come in the order of a hash: all others are compared with their order.
MAPS = {"config", "topics", "partition", "offset"}


def canonical(value: object, parent: str, is_map: bool) -> object:
    """A body as it is compared."""
    if isinstance(value, dict):
        if value.get("state") == "STOPPED" and "worker_id" in value:
            value["worker_id"] = "of nobody, see stopped-is-nowhere"
        if "order_in_group" in value or "order" in value:
            # A key's definition: all releases but 4.3 say `order`, and say it last.
            value = {"order" if key == "order_in_group" else key: item for key, item in value.items()}
            is_map = True
        pairs = [(key, canonical(item, key, key in MAPS)) for key, item in value.items()]
        return ("object", sorted(pairs) if is_map else pairs)
    if isinstance(value, list):
        return ("list", [canonical(item, parent, False) for item in value])
    if parent == "last_modified" and value is not None:
        return "a time"
    if isinstance(value, str):
        if parent in ("trace", "documentation", "version"):
            return f"a {parent}"
        if parent == "message":
            # Jackson says where in the input it was.
            return value.split("\n at [Source: ")[0]
    return value


def body(ask: Ask, answer: Answer, exceptions: "Exceptions") -> object:
    if not answer.body:
        return None
    if not answer.headers.get("content-type", "application/json").startswith("application/json"):
        if ask.method == "OPTIONS":
            return sorted(answer.body.decode().split(", "))
        return f"not JSON: {answer.body[:60].decode(errors='replace')}"
    path, _, query = ask.path.partition("?")
    value = json.loads(answer.body)
    exceptions.without_keys(value)
    if path.startswith("/connector-plugins") and isinstance(value, list) and "type" in (value or [{}])[0] and "class" in value[0]:
        # Only Dray has its own, and transformations of others that this Connect has not installed.
        value = [plugin for plugin in value if not plugin["class"].startswith(("io.dray.", "io.debezium.", "io.confluent."))]
    names = path.rstrip("/") == "/connectors" and ask.method == "GET"
    if names and isinstance(value, list):
        return sorted(value)
    if names and isinstance(value, dict) and "error_code" not in value:
        # A map of maps, as Connect makes them.
        return sorted((name, sorted((key, repr(canonical(item, key, False))) for key, item in entry.items())) for name, entry in value.items())
    is_map = answer.status == 200 and ask.method == "GET" and (path.rstrip("/").endswith("/config") or path.endswith("/loggers"))
    return canonical(value, "", is_map)


def seen(ask: Ask, answer: Answer, exceptions: "Exceptions") -> dict[str, object]:
    """What is compared of an answer."""
    location = answer.headers.get("location")
    allow = answer.headers.get("allow") if ask.method == "OPTIONS" else None
    return {
        "status": answer.status,
        "content-type": answer.headers.get("content-type", "").split(";")[0],
        "location": urlsplit(location).path if location else None,
        "allow": sorted(re.split(", ?", allow)) if allow else None,
        "body": body(ask, answer, exceptions),
    }


def differences(ask: Ask, theirs: Answer, ours: Answer, exceptions: "Exceptions") -> dict[str, tuple[object, object]]:
    left, right = seen(ask, theirs, exceptions), seen(ask, ours, exceptions)
    return {what: (left[what], right[what]) for what in left if left[what] != right[what]}


def in_any_order(value: object) -> object:
    """A body, whatever the order of its lists."""
    match value:
        case ("list", list() as items):
            return ("list", sorted((in_any_order(item) for item in items), key=repr))
        case ("object", list() as pairs):
            return ("object", [(key, in_any_order(item)) for key, item in pairs])
    return value


def apart(left: object, right: object, path: str = "") -> list[str]:
    """Where two bodies differ."""
    if left == right:
        return []
    match left, right:
        case ("object", list() as ours), ("object", list() as theirs) if [key for key, _ in ours] == [key for key, _ in theirs]:
            return [line for (key, one), (_, other) in zip(ours, theirs) for line in apart(one, other, f"{path}.{key}")]
        case ("list", list() as ours), ("list", list() as theirs) if len(ours) == len(theirs):
            return [line for at, (one, other) in enumerate(zip(ours, theirs)) for line in apart(one, other, f"{path}[{at}]")]
        case ("list", list() as ours), ("list", list() as theirs):
            one, other = ([item for item in some if item not in more] for some, more in ((ours, theirs), (theirs, ours)))
            return [f"{path}, only there: {str(one)[:500]}", f"{path}, only here: {str(other)[:500]}"]
    return [f"{path or 'all'}: {str(left)[:300]} | {str(right)[:300]}"]


def traces(answer: bytes) -> list[str]:
    """The traces that an answer has, as they are: two are compared without their texts, and which of them failed has to be told."""
    return [json.loads(text) for text in re.findall(r'"trace":("(?:[^"\\\\]|\\\\.)*")', answer.decode(errors="replace"))]


class Exceptions:
    """What may differ, and why."""

    def __init__(self, path: Path, arm: str):
        entries = tomllib.loads(path.read_text())
        self.all = [entry for entry in entries["exception"] if entry.get("only", arm) == arm]
        self.keys = entries["key"]
        self.met = {entry["name"]: 0 for entry in self.all}
        if len(self.met) != len(self.all) or any(not entry["reason"] for entry in self.all):
            raise Failed(f"{path}: every exception needs a name of its own, and a reason")

    def without_keys(self, value: object) -> None:
        """Takes out of the answer of a validation, or of the definition of a plugin, what is not compared of some keys."""
        if isinstance(value, dict) and "groups" in value and "configs" in value:
            value["groups"] = [group for group in value["groups"] if group != "Dray"]
            for config in value["configs"]:
                self.without(config["definition"], config["value"])
            value["configs"] = [config for config in value["configs"] if config["definition"] != {} or config["value"] != {}]
        elif isinstance(value, list) and value and isinstance(value[0], dict) and "default_value" in value[0]:
            for definition in value:
                self.without(definition)
            value[:] = [definition for definition in value if definition]

    def without(self, *parts: dict | None) -> None:
        name = next(part["name"] for part in parts if part)
        for entry in self.keys:
            if re.search(entry["key"], name):
                for part in filter(None, parts):
                    for field in entry.get("fields", list(part)):
                        part.pop(field, None)

    def excused(self, ask: Ask, theirs: Answer, ours: Answer, what: str, left: object, right: object) -> bool:
        for entry in self.all:
            if what not in entry["differs"] or not re.search(entry["request"], str(ask), re.S):
                continue
            if ours.status != entry.get("dray", ours.status) or theirs.status != entry.get("connect", theirs.status):
                continue
            if entry.get("errors") and ours.status < 400:
                continue
            if what == "body" and "places" in entry and not all(re.match(entry["places"], line) for line in apart(left, right)):
                continue
            if what == "body" and entry.get("unordered") and in_any_order(left) != in_any_order(right):
                continue
            self.met[entry["name"]] += 1
            return True
        return False


def wait(step: Until | UntilSome, servers: list[Server]) -> None:
    for server in servers:
        last: list[Answer] = []

        def met() -> bool:
            last[:] = [server.ask("GET", f"/connectors/{quote(step.name, safe='')}/{step.path}")]
            return step.met(last[0].status, last[0].body)
        try:
            until("", met)
        except Failed as failed:
            raise Failed(f"{server.name}: {step} was not reached: {last[0].body.decode(errors='replace')}") from failed


@contextmanager
def started(arm: str, folder: Path, bootstrap: str) -> Iterator[Server]:
    """Dray, as it is asked for."""
    if arm == "standalone":
        with Dray("Dray", folder / "dray", bootstrap) as dray:
            yield dray
        return
    with ExitStack() as running:
        replicas = []
        for number in range(3):
            replicas.append(running.enter_context(Replica(f"replica {number}", folder / f"replica-{number}", bootstrap)))
            # The first leads.
            replicas[-1].until_ready()
        running.enter_context(Agent("the agent", folder / "agent", bootstrap, replicas))
        until("the agent is there", lambda: len(json.loads(replicas[2].ask("GET", "/connector-plugins").body)) > 1)
        yield replicas[2]


def main() -> int:
    words = [word for word in sys.argv[1:] if word != "--cluster"]
    word, arm = "".join(words), "cluster" if "--cluster" in sys.argv else "standalone"
    exceptions = Exceptions(Path(__file__).with_name("exceptions.toml"), arm)
    bootstrap = os.environ.get("DRAY_TEST_BOOTSTRAP")
    if not bootstrap:
        raise Failed("DRAY_TEST_BOOTSTRAP names no broker: run `make rest-diff`")
    folder = Path(tempfile.mkdtemp(prefix="dray-rest-diff."))
    asked = unexplained = 0
    try:
        (folder / "source.txt").write_text("one\ntwo\n")
        with Connect("Connect", folder / "connect", bootstrap) as connect, started(arm, folder, bootstrap) as dray:
            for server in (connect, dray):
                server.until_ready()
            if not json.loads(dray.ask("GET", "/").body)["kafka_cluster_id"]:
                until("an agent has said which Kafka cluster it is", lambda: json.loads(dray.ask("GET", "/").body)["kafka_cluster_id"])
            for step in table(str(folder)):
                if not isinstance(step, Ask):
                    wait(step, [connect, dray])
                    continue
                asked += 1
                theirs, ours = (server.ask(step.method, step.path, step.bytes(), step.all_headers()) for server in (connect, dray))
                for what, (left, right) in differences(step, theirs, ours, exceptions).items():
                    if not exceptions.excused(step, theirs, ours, what, left, right):
                        unexplained += 1
                        if word in str(step):
                            where = "\n    ".join(apart(left, right)[:8])
                            print(f"{str(step)[:300]}\n  {what}, Connect {theirs.status} | Dray {ours.status}:\n    {where}", flush=True)
                            for trace in traces(ours.body):
                                print(f"  Dray's trace: {trace[:2000]}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    unmet = [name for name, times in exceptions.met.items() if times == 0]
    for name in unmet:
        print(f"exceptions.toml: {name}: nothing differs so any more: remove it")
    excused = sum(exceptions.met.values())
    print(f"rest-diff, {arm}: {asked} requests, {unexplained} differences without a reason, {excused} with one of {len(exceptions.all)}", flush=True)
    return 1 if unexplained or unmet else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failed:
        sys.exit(f"rest-diff: {failed}")
