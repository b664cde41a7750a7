"""The REST API of 1,000 connectors at a steady 200 requests a second, of which a tenth are writes: Dray's cluster, also while an agent is
killed, and the real Kafka Connect (one distributed worker)."""

import http.client
import json
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arms import JVM, answers, distributed
from fleet import CLIENT, SOURCE, Fleet, config, fleet
from servers import Failed, Process, Rig, free_port

Values = dict[str, float]

CONNECTORS, RATE, SECONDS, WARM_UP = 1000, 200, 15, 20
# Who creates Connect's connectors.
CLIENTS = 16
NAMES = [f"c{number:05}" for number in range(CONNECTORS)]


def load(address: str, body: dict[str, str], seconds: int) -> dict[str, Any]:
    """Steady requests: what became of them. The client is compiled, as one in Python is late by itself when both cores are in use; and it goes
    first, where it may, as it would on a machine of its own."""
    words = ["nice", "-n", "-15", CLIENT, "load", address, CONNECTORS, RATE, seconds, json.dumps(body)]
    asked = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if asked.returncode:
        raise Failed(asked.stderr)
    return json.loads(asked.stdout)


def figures(prefix: str, took: dict[str, Any], refusals: bool = False) -> Values:
    """Connect refuses requests while it rebalances: that is counted, where `refusals` allow it."""
    if took["refused"] and not refusals:
        raise Failed(f"{took['refused']} requests were refused; the first: {took['first_refused']}")
    seen = {f"{prefix}{kind}_{name}_ms": took[kind][name] for kind in ["read", "write"] for name in ["p50", "p99"]}
    return seen | {f"{prefix}late_p99_ms": took["late"]["p99"]}


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def statuses(address: str) -> Values:
    """All statuses in one answer, once in 200 ms."""
    connection, took = http.client.HTTPConnection(address, timeout=60), []
    for _ in range(50):
        began = time.monotonic()
        connection.request("GET", "/connectors?expand=status")
        answer = connection.getresponse().read()
        took.append((time.monotonic() - began) * 1e3)
        found = json.loads(answer)
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
        # Caches, and the broker, whose own compiler takes most of both cores in the first half minute.
        load(address, body, WARM_UP)
        seen = figures("", load(address, body, SECONDS)) | statuses(address)
        seen |= figures("killed_", while_killed(it, address, body))
        it.eye.ask(f"running {2 * CONNECTORS}")
        return seen


def while_killed(it: Fleet, address: str, body: dict[str, str]) -> dict[str, Any]:
    """An agent with half of the tasks is killed in the middle of it."""
    killer = threading.Timer(SECONDS / 3, it.kill, ["agent-1"])
    killer.start()
    took = load(address, body, SECONDS)
    killer.join()
    return took


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
        load(address, body, 3)
        took = load(address, body, SECONDS)
        return (figures("connect_", took, refusals=True) | {"connect_refused": took["refused"]}
                | {f"connect_{k}": v for k, v in statuses(address).items()})
