"""The cluster that is measured: the processes of deploy/cluster/cluster.py on both cores, an eye on their statuses, and lines that flow."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers import RAW, ROOT, TARGET, Failed, status_kb, tail

sys.path.insert(0, str(ROOT / "deploy/cluster"))
import cluster as processes  # noqa: E402

CLIENT = Path(os.environ.get("DRAY_BINARIES", TARGET / "release")) / "dray-bench"
SOURCE = "org.apache.kafka.connect.file.FileStreamSourceConnector"
SINK = "org.apache.kafka.connect.file.FileStreamSinkConnector"
# Longer than the clients wait themselves.
PATIENCE = 330.0


def config(**entries: str) -> str:
    """A configuration, as the eye takes it; keys with _ for the dot."""
    return json.dumps({"tasks.max": "1"} | {key.replace("_", "."): value for key, value in entries.items()}, separators=(",", ":"))


class Talker:
    """A process of ours that answers each line with a JSON object."""

    def __init__(self, log: Path, *command: object):
        self.command, self.log, self.unread = " ".join(map(str, command)), log, b""
        with open(log, "ab") as out:
            self.child = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out,
                                          bufsize=0, start_new_session=True)

    def __enter__(self) -> "Talker":
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()
        self.child.wait()

    def hear(self) -> dict[str, Any]:
        assert self.child.stdout is not None
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self.unread:
            if select.select([self.child.stdout], [], [], 0.5)[0]:
                more = os.read(self.child.stdout.fileno(), 1 << 20)
                if not more:
                    raise Failed(f"{self.command} ended with {self.child.wait()}:\n{tail(self.log)}")
                self.unread += more
            if time.monotonic() > deadline:
                raise Failed(f"{self.command}: nothing for {PATIENCE:.0f} s:\n{tail(self.log)}")
        line, self.unread = self.unread.split(b"\n", 1)
        return json.loads(line)

    def tell(self, text: str) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(f"{text}\n".encode())

    def ask(self, text: str) -> dict[str, Any]:
        self.tell(text)
        return self.hear()


class Fleet:
    """One cluster. Processes that were killed are started again with the arguments that they had."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.cluster = processes.Cluster(folder / "cluster")
        self.eye: Talker

    @property
    def kafka(self) -> str:
        return self.cluster.state["kafka"]

    @property
    def addresses(self) -> str:
        return ",".join(control["grpc"] for control in self.cluster.of("control"))

    def process(self, name: str) -> dict[str, Any]:
        return next(process for process in self.cluster.processes if process["name"] == name)

    def pid(self, name: str) -> int:
        pid = self.cluster.pid(self.process(name))
        if pid is None:
            raise Failed(f"{name} does not run:\n{tail(Path(self.process(name)['log']))}")
        return pid

    def rss_mb(self, name: str) -> float:
        return status_kb(self.pid(name), "VmRSS") / 1024

    def threads(self, name: str) -> int:
        return status_kb(self.pid(name), "Threads")

    def kill(self, name: str) -> float:
        """kill -9; when."""
        pid, at = self.pid(name), time.monotonic()
        os.kill(pid, signal.SIGKILL)
        return at

    def end(self, name: str) -> None:
        """SIGTERM, and waits until it has ended."""
        self.cluster.end(self.process(name))

    def again(self, name: str) -> float:
        """Starts what was killed or has ended; when."""
        process = self.process(name)
        with open(process["log"], "ab") as out:
            at = time.monotonic()
            child = subprocess.Popen(process["argv"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        process["pid"] = child.pid
        self.cluster.save()
        return at

    def flows(self, sources: int, sinks: int, rate: int) -> Talker:
        """Lines through so many file sources and file sinks; returns when all of them move."""
        talker = Talker(self.folder / "flows.log", RAW, "flows", self.kafka, self.folder, sources, sinks, rate)
        try:
            talker.hear()
            at = self.folder
            self.eye.ask(f"create {sources} 8 in {config(connector_class=SOURCE, file=f'{at}/in-@', topic='in-@')}")
            self.eye.ask(f"create {sinks} 8 out {config(connector_class=SINK, file=f'{at}/out-@', topics='out-@')}")
            talker.hear()
        except BaseException:
            talker.__exit__()
            raise
        return talker


@contextmanager
def fleet(folder: Path, controls: int, agents: int, kafka: str | None = None) -> Iterator[Fleet]:
    """A fresh cluster in an empty folder, all agents connected; `kafka`: an address in whose place no broker is started."""
    folder.mkdir()
    it = Fleet(folder)
    try:
        try:
            it.cluster.start(controls, agents, kafka, None)
        except processes.Failed as failed:
            raise Failed(str(failed)) from failed
        it.eye = Talker(folder / "eye.log", CLIENT, "eye", it.addresses)
        with it.eye:
            it.eye.hear()
            it.eye.ask(f"connected {agents}")
            yield it
    finally:
        it.cluster.stop()
