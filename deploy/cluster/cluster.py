"""A whole cluster on loopback: etcd, a Kafka broker, control planes and agents, each a process of its own.

  cluster.py start          starts it in $DIR and writes $DIR/cluster.json; CONTROLS, AGENTS: how many; KAFKA, ETCD: use running servers
  cluster.py stop           ends all of it, in order
  cluster.py agent-add      one agent more
  cluster.py agent-stop     asks the agent NAME (default: the newest) to hand over and end
  cluster.py agent-kill     kill -9 of the agent NAME (default: the newest)
  cluster.py list           what runs

cluster.json names, for every process: name, role, pid, argv, log file, gRPC and REST address. Any tool may kill one and start it again with
the same argv; `cluster.py` finds it by its command line. Processes are ended by pid only, and only if the command line is still theirs.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RIG = ROOT / "deploy/rig"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARIES = Path(os.environ.get("DRAY_BINARIES", TARGET / "release"))
# How long a process may take to answer, or to end when it is asked to.
PATIENCE = 60.0


class Failed(Exception):
    """Said to the user in one line."""


def words(pid: int) -> list[str]:
    """The command line of a process; none when it is gone, or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def listens(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, int(port))) == 0


def until(what: str, condition, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"{what} within {seconds:.0f} s")
        time.sleep(0.05)


def run(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))} failed")
    return done.stdout


def free_ports(count: int) -> list[int]:
    return [int(port) for port in run(RIG / "kafka.sh", "freeport", count).split()]


class Cluster:
    """The processes of a folder, as cluster.json has them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.file = folder / "cluster.json"
        self.state = json.loads(self.file.read_text()) if self.file.exists() else {"processes": []}

    @property
    def processes(self) -> list[dict]:
        return self.state["processes"]

    def save(self) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(self.state, indent=2) + "\n")
        new.replace(self.file)

    def of(self, role: str) -> list[dict]:
        return [process for process in self.processes if process["role"] == role]

    def pid(self, process: dict) -> int | None:
        """The process, also when another tool has started it again."""
        if words(process["pid"]) == process["argv"]:
            return process["pid"]
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and words(int(entry.name)) == process["argv"]:
                return int(entry.name)
        return None

    def note(self, name: str, role: str, pid: int, log: Path, grpc: str | None = None) -> None:
        """Writes a process down. gRPC and REST share a port."""
        process = {"name": name, "role": role, "pid": pid, "argv": words(pid), "log": str(log), "grpc": grpc, "rest": grpc}
        self.state["processes"] = [other for other in self.processes if other["name"] != name] + [process]
        self.save()

    def launch(self, name: str, role: str, settings: dict, grpc: str | None = None) -> None:
        """Starts one of our binaries with its settings in a file."""
        at = self.folder / name
        at.mkdir(exist_ok=True)
        config, log = at / "config.yaml", at / "log"
        config.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items()))
        binary = BINARIES / f"dray-{role}"
        if not binary.exists():
            raise Failed(f"{binary} is missing: `cargo build --release -p dray-control -p dray-agent`")
        with open(log, "ab") as out:
            # A session of its own: Ctrl-C reaches whoever started us, and then `stop` ends it in order.
            child = subprocess.Popen([binary, "--config", config], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        until(f"{name} did not start: see {log}; nothing", lambda: words(child.pid)[:1] == [str(binary)] or child.poll() is not None, 10)
        if child.poll() is not None:
            raise Failed(f"{name} ended at once:\n{log.read_text(errors='replace')[-2000:]}")
        self.note(name, role, child.pid, log, grpc)

    def start(self, controls: int, agents: int, kafka: str | None, etcd: str | None) -> None:
        if any(self.pid(process) for process in self.processes):
            raise Failed(f"a cluster runs in {self.folder}: `make cluster-stop` ends it")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state = {"processes": []}
        if etcd is None:
            run(RIG / "etcd.sh", "start", self.folder / "etcd", 1)
            etcd = ",".join((self.folder / "etcd/endpoints").read_text().split())
            self.note("etcd-1", "etcd", int((self.folder / "etcd/1/etcd.pid").read_text()), self.folder / "etcd/1/etcd.log")
        if kafka is None:
            port = free_ports(1)[0]
            run(RIG / "kafka.sh", "start", self.folder / "kafka", port)
            kafka = f"127.0.0.1:{port}"
            self.note("kafka-1", "kafka", int((self.folder / "kafka/broker.pid").read_text()), self.folder / "kafka/broker.log")
        worker = self.folder / "connect-distributed.properties"
        worker.write_text(
            f"bootstrap.servers={kafka}\ngroup.id=dray-cluster\n"
            "key.converter=org.apache.kafka.connect.storage.StringConverter\n"
            "value.converter=org.apache.kafka.connect.storage.StringConverter\n"
            "offset.storage.topic=dray-offsets\noffset.storage.replication.factor=1\noffset.storage.partitions=5\n"
            "config.storage.topic=dray-configs\nstatus.storage.topic=dray-status\nstatus.storage.replication.factor=1\n"
            "offset.flush.interval.ms=1000\n"
        )
        self.state |= {"kafka": kafka, "etcd": etcd, "worker_config": str(worker)}
        addresses = [f"127.0.0.1:{port}" for port in free_ports(controls)]
        for number, address in enumerate(addresses, 1):
            self.launch(f"control-{number}", "control", {
                "cluster": "dray-cluster", "replica": f"control-{number}", "listen": address, "etcd": etcd.split(","),
                "worker-config": str(worker), "data-dir": str(self.folder / f"control-{number}/data"),
            }, address)
        for process in self.of("control"):
            until(f"{process['name']} does not answer: see {process['log']}; it should", lambda: listens(process["grpc"]))
        for _ in range(agents):
            self.agent_add()

    def agent_add(self) -> dict:
        number = self.state["agents"] = self.state.get("agents", 0) + 1
        name = f"agent-{number}"
        self.launch(name, "agent", {
            "cluster": "dray-cluster", "agent-id": name, "control": [control["grpc"] for control in self.of("control")],
            "zone": f"zone-{(number - 1) % 3 + 1}", "data-dir": str(self.folder / name / "data"),
        })
        return self.processes[-1]

    def agent(self, name: str | None) -> dict:
        agents = [agent for agent in self.of("agent") if name in (None, agent["name"]) and self.pid(agent)]
        if not agents:
            raise Failed(f"no agent {name} runs" if name else "no agent runs")
        return agents[-1]

    def end(self, process: dict, kill: bool = False) -> None:
        pid = self.pid(process)
        if pid is not None:
            os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
            try:
                until("", lambda: words(pid) != process["argv"])
            except Failed:
                print(f"{process['name']} did not end within {PATIENCE:.0f} s and is killed", file=sys.stderr)
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        for role in ["agent", "control"]:
            for process in self.of(role):
                self.end(process)
        if self.of("kafka"):
            run(RIG / "kafka.sh", "stop", self.folder / "kafka")
        if self.of("etcd"):
            run(RIG / "etcd.sh", "stop", self.folder / "etcd")
        self.file.unlink(missing_ok=True)

    def show(self) -> None:
        for process in self.processes:
            pid = self.pid(process)
            print(f"{process['name']:<12} {'pid ' + str(pid) if pid else 'ended':<12} {process['grpc'] or '':<18} {process['log']}")


def main() -> None:
    os.umask(0o077)
    cluster = Cluster(Path(os.environ.get("DIR") or TARGET / "cluster").resolve())
    command, name = sys.argv[1] if len(sys.argv) == 2 else "", os.environ.get("NAME") or None
    if command == "start":
        try:
            cluster.start(
                int(os.environ.get("CONTROLS") or 3), int(os.environ.get("AGENTS") or 3),
                os.environ.get("KAFKA") or None, os.environ.get("ETCD") or None,
            )
        except BaseException:
            cluster.stop()
            raise
        cluster.show()
        print(f"\ncluster.json: {cluster.file}\nKafka: {cluster.state['kafka']}\nend it: make cluster-stop")
    elif command == "stop":
        cluster.stop()
    elif command == "agent-add":
        print(cluster.agent_add()["name"])
    elif command == "agent-stop":
        cluster.end(cluster.agent(name))
    elif command == "agent-kill":
        cluster.end(cluster.agent(name), kill=True)
    elif command == "list":
        cluster.show()
    else:
        raise Failed((__doc__ or "").strip())


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"cluster.py: {failed}")
