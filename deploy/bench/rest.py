"""The REST API of 1,000 connectors at a steady 200 requests a second, of which a tenth are writes: Dray's cluster, also while an agent is
killed, and the real Kafka Connect (one distributed worker)."""

import http.client
import itertools
import json
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from collections.abc import Iterator
from pathlib import Path

from arms import JVM, answers, distributed
from fleet import SOURCE, Fleet, config, fleet
from servers import Failed, Process, Rig, free_port

Values = dict[str, float]

CONNECTORS, RATE, SECONDS = 1000, 200, 15.0
# Open connections. Requests that all of them are too busy for are late, and their wait counts.
CLIENTS = 16
# One in so many is a write; one in so many reads is a list of all names.
WRITES, LISTS = 10, 20
NAMES = [f"c{number:05}" for number in range(CONNECTORS)]


class Load:
    """Requests at their times, whatever became of those before: how long after its time each was answered, in ms."""

    def __init__(self, address: str, body: dict[str, str], seconds: float):
        self.host, self.body = address, body
        self.count = int(RATE * seconds)
        self.next, self.begun = itertools.count(), time.monotonic()
        self.took: dict[str, list[float]] = {"read": [], "write": []}
        self.refused: list[str] = []

    def run(self, refusals: bool = False) -> "Load":
        """Connect refuses requests while it rebalances: that is counted, where `refusals` allow it."""
        with ThreadPoolExecutor(CLIENTS) as clients:
            for client in [clients.submit(self.client) for _ in range(CLIENTS)]:
                client.result()
        if self.refused and not refusals:
            raise Failed(f"{len(self.refused)} of {self.count} requests were refused; the first: {self.refused[0]}")
        return self

    def client(self) -> None:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        while (number := next(self.next)) < self.count:
            due = self.begun + number / RATE
            time.sleep(max(0.0, due - time.monotonic()))
            kind, method, path, body = self.request(number)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
            self.took[kind].append((time.monotonic() - due) * 1e3)
            if answer.status >= 300:
                self.refused.append(f"{method} {path}: {answer.status} {said[:300]!r}")

    def request(self, number: int) -> tuple[str, str, str, str | None]:
        # All over the names, not one after the other.
        name = NAMES[number * 7919 % CONNECTORS]
        if number % WRITES == 0:
            return "write", "PUT", f"/connectors/{name}/config", json.dumps(self.body | {"batch.size": str(1000 + number)})
        if number % LISTS == 1:
            return "read", "GET", "/connectors", None
        return "read", "GET", f"/connectors/{name}{('', '/config', '/status')[number % 3]}", None


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def figures(prefix: str, load: Load) -> Values:
    return {f"{prefix}{kind}_{name}_ms": found for kind, values in load.took.items()
            for name, found in [("p50", statistics.median(values)), ("p99", percentile(values, 0.99))]}


def statuses(address: str) -> Values:
    """All statuses in one answer, once in 200 ms."""
    connection, took = http.client.HTTPConnection(address, timeout=60), []
    for _ in range(50):
        began = time.monotonic()
        connection.request("GET", "/connectors?expand=status")
        found = json.loads(connection.getresponse().read())
        took.append((time.monotonic() - began) * 1e3)
        if len(found) != CONNECTORS:
            raise Failed(f"{len(found)} statuses instead of {CONNECTORS}")
        time.sleep(0.2)
    return {"statuses_p99_ms": percentile(took, 0.99)}


def dray(folder: Path) -> Values:
    with fleet(folder, 3, 2) as it:
        empty = folder / "empty.txt"
        empty.write_text("")
        source = config(connector_class=SOURCE, file=str(empty), topic="idle")
        it.eye.ask(f"create {CONNECTORS} 16 c {source}")
        it.eye.ask(f"running {2 * CONNECTORS}")
        address, body = it.process("control-1")["rest"], json.loads(source)
        Load(address, body, 3).run()  # caches, connections
        seen = figures("", Load(address, body, SECONDS).run()) | statuses(address)
        seen |= figures("killed_", while_killed(it, address, body))
        it.eye.ask(f"running {2 * CONNECTORS}")
        return seen


def while_killed(it: Fleet, address: str, body: dict[str, str]) -> Load:
    """An agent with half of the tasks is killed in the middle of it."""
    killer = threading.Timer(SECONDS / 3, it.kill, ["agent-1"])
    killer.start()
    load = Load(address, body, SECONDS).run()
    killer.join()
    return load


@contextmanager
def worker(folder: Path, bootstrap: str) -> Iterator[tuple[str, dict[str, str]]]:
    """A distributed worker of the real Connect with as many connectors."""
    rig, port = Rig(folder, bootstrap), free_port()
    empty = folder / "empty.txt"
    empty.write_text("")
    body = {"connector.class": "FileStreamSource", "tasks.max": "1", "file": str(empty), "topic": "idle"}
    with Process(distributed(rig, port, JVM), None, folder / "connect.log") as process:
        answers(f"http://127.0.0.1:{port}", process)
        with ThreadPoolExecutor(CLIENTS) as clients:
            def create(name: str) -> None:
                connection = http.client.HTTPConnection(f"127.0.0.1:{port}", timeout=120)
                connection.request("PUT", f"/connectors/{name}/config", json.dumps(body), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                if answer.status != 201:
                    raise Failed(f"Connect: {name}: {answer.status} {answer.read()!r}")
            list(clients.map(create, NAMES))
        yield f"127.0.0.1:{port}", body


def connect(folder: Path, bootstrap: str) -> Values:
    with worker(folder, bootstrap) as (address, body):
        Load(address, body, 3).run(refusals=True)
        load = Load(address, body, SECONDS).run(refusals=True)
        return (figures("connect_", load) | {"connect_refused": len(load.refused)}
                | {f"connect_{k}": v for k, v in statuses(address).items()})
