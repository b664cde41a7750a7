"""The two that are compared: the real Kafka Connect and `dray standalone`, each on a free port, with topics of its own on one broker."""

import http.client
import os
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RIG = Path(os.environ.get("DRAY_RIG", ROOT / ".rig"))
KAFKA_SH = ROOT / "deploy/rig/kafka.sh"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
DRAY = Path(os.environ.get("DRAY_BINARIES", TARGET / "debug")) / "dray"
# How long a server may take to start, to end, or to come to the state that is waited for.
PATIENCE = 90.0
# What both call themselves, so that worker ids are the same.
WORKER = "127.0.0.1:8083"


class Failed(Exception):
    """Said in one line; the run ends."""


class Answer:
    """What came back: the status, the headers by lower-case name, and the body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes):
        self.status, self.headers, self.body = status, headers, body


class Server:
    """One of the two. It ends with the `with`, by its own pid."""

    def __init__(self, name: str, folder: Path, bootstrap: str):
        self.name, self.folder, self.port = name, folder, int(free_port())
        folder.mkdir()
        settings = {
            "bootstrap.servers": bootstrap,
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "offset.flush.interval.ms": "500",
            "listeners": f"http://127.0.0.1:{self.port}",
            "rest.advertised.host.name": WORKER.split(":")[0],
            "rest.advertised.port": WORKER.split(":")[1],
        }
        file = folder / "worker.properties"
        self.log = folder / "log"
        command = self.command(file, settings)
        file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        # As Connect's below: levels of loggers are compared.
        environment = os.environ | {"DRAY_LOG": "warn"}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True)

    def command(self, file: Path, settings: dict[str, str]) -> list[str]:
        raise NotImplementedError

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def until_ready(self) -> None:
        def ready() -> bool:
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended with {self.process.returncode}:\n{self.log.read_text(errors='replace')[-4000:]}")
            try:
                return self.ask("GET", "/health").status == 200
            except OSError:
                return False
        until(f"{self.name} is ready", ready)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None or method in ("POST", "PUT", "PATCH"):
                connection.putheader("Content-Length", str(len(body or b"")))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()


class Connect(Server):
    """Kafka Connect, distributed, alone in its group."""

    def command(self, file: Path, settings: dict[str, str]) -> list[str]:
        settings["group.id"] = "rest-diff"
        for kind in ("config", "offset", "status"):
            settings[f"{kind}.storage.topic"] = f"rest-diff-{kind}"
            settings[f"{kind}.storage.replication.factor"] = "1"
            if kind != "config":
                settings[f"{kind}.storage.partitions"] = "1"
        return ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Ddray.log=warn",
                f"-Dlog4j2.configurationFile={ROOT}/deploy/rig/log4j2.properties", "-cp", f"{RIG}/kafka/libs/*",
                "org.apache.kafka.connect.cli.ConnectDistributed", str(file)]


class Dray(Server):
    """Dray as one process."""

    def command(self, file: Path, settings: dict[str, str]) -> list[str]:
        settings["offset.storage.file.filename"] = str(self.folder / "offsets")
        return [str(DRAY), "standalone", str(file)]


class Replica(Server):
    """A replica of a cluster of Dray's, over the etcd that `with-etcd.sh` has started."""

    def command(self, file: Path, settings: dict[str, str]) -> list[str]:
        settings["group.id"] = "rest-diff"
        settings["offset.storage.topic"] = "rest-diff-dray-offsets"
        settings["offset.storage.replication.factor"] = "1"
        del settings["listeners"]
        etcd = os.environ.get("DRAY_TEST_ETCD")
        if not etcd:
            raise Failed("DRAY_TEST_ETCD names no etcd: run this under deploy/rig/with-etcd.sh")
        return [str(DRAY.with_name("dray-control")), "--etcd", etcd, "--worker-config", str(file), "--listen", f"127.0.0.1:{self.port}",
                "--data-dir", str(self.folder / "data")]


class Agent(Server):
    """The agent of that cluster. It serves nothing."""

    def __init__(self, name: str, folder: Path, bootstrap: str, replicas: list[Server]):
        self.control = ",".join(f"127.0.0.1:{replica.port}" for replica in replicas)
        super().__init__(name, folder, bootstrap)

    def command(self, file: Path, settings: dict[str, str]) -> list[str]:
        return [str(DRAY.with_name("dray-agent")), "--cluster", "rest-diff", "--control", self.control, "--worker-id", WORKER,
                "--data-dir", str(self.folder / "data")]


def free_port() -> str:
    return subprocess.run([KAFKA_SH, "freeport"], check=True, capture_output=True, text=True).stdout.strip()


def until(what: str, condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(0.05)
