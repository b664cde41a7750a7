"""What the arms run against and with: the broker, the raw client, topics; processes that never outlive the benchmark, and what they cost."""

import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RIG = Path(os.environ.get("DRAY_RIG", ROOT / ".rig"))
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
DRAY, RAW, KAFKA_SH = TARGET / "release/dray", TARGET / "release/rawbench", ROOT / "deploy/rig/kafka.sh"
AGENT = Path(os.environ.get("DRAY_BINARIES", TARGET / "release")) / "dray-agent"
SERVER_CORE, ARM_CORE = 0, 1
TICKS = os.sysconf("SC_CLK_TCK")
LONGEST_RUN = 300.0

# Topics are deleted after each run, at once: a minute's worth of them would fill the disk.
BROKER_EXTRA = "log.retention.check.interval.ms=2000\nlog.segment.delete.delay.ms=1000\nauto.create.topics.enable=false\n"
# A destination keeps its last records only; end offsets go on counting.
DESTINATION = ["retention.bytes=268435456", "segment.bytes=134217728", "file.delete.delay.ms=1000"]
PREFILLED = ["retention.ms=-1", "file.delete.delay.ms=1000"]


class Failed(Exception):
    """A run that says nothing: the benchmark ends."""


def tail(log: Path, lines: int = 25) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"


def status_kb(pid: int, key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)
    if found is None:
        raise Failed(f"process {pid} has ended")
    return int(found[1])


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, of its living children and of those it has reaped."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    own = sum(int(ticks) for ticks in fields[11:15]) / TICKS
    children = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    return own + sum(cpu_seconds(int(child)) for child in children)


class Process:
    """A child on one core (`None`: on all), its output in a file or in a pipe. Leaving the `with` ends it, by its own pid."""

    def __init__(self, command: list[str | Path], core: int | None, log: Path, pipe: bool = False, env: dict[str, str] | None = None,
                 asked: bool = False):
        self.log = log
        self.command = " ".join(map(str, command))
        self.started = time.monotonic()
        with open(log, "ab") as out:
            # A session of its own: Ctrl-C reaches this program, which ends the others in order.
            pinned = [] if core is None else ["taskset", "-c", str(core)]
            self.child = subprocess.Popen([*pinned, *map(str, command)], stdin=subprocess.PIPE if asked else subprocess.DEVNULL,
                                          stdout=subprocess.PIPE if pipe else out, stderr=out, bufsize=0,
                                          start_new_session=True, env={**os.environ, **(env or {})})
        self.pid = self.child.pid  # taskset becomes the command, so this is the command's
        self.unread = b""

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, patience: float = 30) -> int:
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(patience)
            except subprocess.TimeoutExpired:
                self.child.kill()
        return self.child.wait()

    def check(self) -> None:
        if self.child.poll() is not None:
            raise Failed(f"{self.command} ended with {self.child.returncode}:\n{tail(self.log)}")

    def ask(self, question: str) -> str:
        """The line that it answers to a line."""
        assert self.child.stdin is not None
        self.child.stdin.write(f"{question}\n".encode())
        return self.line(self.check)

    def line(self, alive: Callable[[], None] = lambda: None, patience: float = LONGEST_RUN) -> str:
        """The next line of its output; `alive` is asked meanwhile and raises when waiting has no sense any more."""
        assert self.child.stdout is not None
        deadline = time.monotonic() + patience
        while b"\n" not in self.unread:
            if select.select([self.child.stdout], [], [], 0.5)[0]:
                more = os.read(self.child.stdout.fileno(), 1 << 16)
                if not more:
                    raise Failed(f"{self.command} ended with {self.child.wait()}:\n{tail(self.log)}")
                self.unread += more
            alive()
            if time.monotonic() > deadline:
                raise Failed(f"{self.command}: nothing for {patience:.0f} s:\n{tail(self.log)}")
        line, self.unread = self.unread.split(b"\n", 1)
        return line.decode()


class Rig:
    """A broker on core 0 and a folder in which everything lies; both are gone afterwards."""

    def __init__(self, folder: Path, bootstrap: str):
        self.folder, self.bootstrap = folder, bootstrap
        self.errors = folder / "raw.log"

    def raw(self, *args: object) -> str:
        """A call of the raw client, on the servers' core."""
        done = subprocess.run([RAW, *map(str, args)], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(done.stderr.strip())
        return done.stdout.strip()

    def watch(self, *args: object) -> Process:
        """The raw client as an eye on a destination; it says `ready`, `first` and `last`."""
        watch = Process([RAW, *map(str, args)], SERVER_CORE, self.errors, pipe=True)
        try:
            self.expect(watch, "ready")
        except BaseException:
            watch.stop()
            raise
        return watch

    @staticmethod
    def expect(watch: Process, word: str, alive: Callable[[], None] = lambda: None) -> float:
        said = watch.line(alive)
        if said != word:
            raise Failed(f"{watch.command} said {said} instead of {word}")
        return time.monotonic()

    @contextmanager
    def topic(self, name: str, partitions: int, settings: list[str]) -> Iterator[str]:
        self.raw("create", self.bootstrap, name, partitions, *settings)
        try:
            yield name
        finally:
            self.raw("drop", self.bootstrap, name)

    def properties(self, name: str, settings: dict[str, str]) -> Path:
        path = self.folder / name
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return path


@contextmanager
def rig() -> Iterator[Rig]:
    base = Path(os.environ.get("DRAY_BENCH_DIR", RIG / "bench"))
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run.", dir=base))
    broker = folder / "broker"
    env = {**os.environ, "DRAY_BROKER_EXTRA": BROKER_EXTRA}
    try:
        if shutil.disk_usage(folder).free < 20e9:
            raise Failed(f"{base}: less than 20 GB free; DRAY_BENCH_DIR names another folder")
        port = free_port()
        subprocess.run([KAFKA_SH, "start", broker, port], check=True, env=env)
        yield Rig(folder, f"127.0.0.1:{port}")
    finally:
        subprocess.run([KAFKA_SH, "stop", broker], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> str:
    return subprocess.run([KAFKA_SH, "freeport"], check=True, capture_output=True, text=True).stdout.strip()


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
