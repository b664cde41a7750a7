"""Records through AvroConverter and nothing else: Dray's, and Apicurio's in a JVM that is warm, in turn. The registry is a real one, and asked before."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from arms import JVM
from machine import versions
from report import Result, Value, summary
from servers import ARM_CORE, RIG, ROOT, TARGET, Failed, Process, free_port, say, status_kb
from workloads import Conversion

REGISTRY_SH, ORACLE_BUILD = ROOT / "deploy/rig/registry.sh", ROOT / "deploy/oracle/build.sh"
SPEED = TARGET / "release/examples/converter_speed"
OURS, THEIRS = "io.confluent.connect.avro.AvroConverter", "io.apicurio.registry.utils.converter.AvroConverter"
TOPIC = "orders"
# Confluent's form of messages.
SETTINGS = ["apicurio.registry.as-confluent=true", "apicurio.registry.use-id=contentId", "apicurio.registry.headers.enabled=false"]
# Of a JVM: it gets no faster from then on.
WARM_UP = 30.0
# How it finds the schema that it writes with: at the least cost, and as a source that registers its schemas has to.
TUNED, DEFAULT = ["apicurio.registry.find-latest=true"], ["apicurio.registry.auto-register=true"]
GUARANTEES = {"dray": f"{OURS}, which registers schemas; records in the arena of a batch of 500",
              "connect": f"{THEIRS} in a JVM; {', '.join(SETTINGS + TUNED)}: writes with the latest schema of the topic, whatever it is",
              "default": f"the same with {', '.join(DEFAULT)}: registers schemas"}


@contextmanager
def registry() -> Iterator[tuple[Path, str]]:
    """A folder with a registry, and where that listens."""
    base = RIG / "bench"
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run.", dir=base))
    try:
        port = free_port()
        subprocess.run([REGISTRY_SH, "start", folder / "registry", port], check=True)
        yield folder, f"http://127.0.0.1:{port}/apis"
    finally:
        subprocess.run([REGISTRY_SH, "stop", folder / "registry"], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def conversion(w: Conversion, rounds: int, longest: float) -> Result:
    libs, apicurio = RIG / "kafka/libs", RIG / "apicurio/libs"
    with registry() as (folder, url):
        subprocess.run(["javac", "--release", "17", "-proc:none", "-cp", f"{libs}/*", "-d", folder, ROOT / "deploy/bench/java/ConverterSpeed.java"], check=True)
        messages, log = folder / "messages", folder / "log"
        ours: list[str | Path] = [SPEED, OURS, f"{url}/ccompat/v7", TOPIC, messages]
        theirs: list[str | Path] = ["java", *JVM, f"-Dlog4j2.configurationFile={ROOT / 'deploy/rig/log4j2.properties'}", "-cp", f"{folder}:{libs}/*:{apicurio}/*",
                                    "bench.ConverterSpeed", THEIRS, TOPIC, messages, f"apicurio.registry.url={url}/registry/v2", *SETTINGS]

        def ready(command: list[str | Path]) -> Process:
            process = Process(command, ARM_CORE, log, pipe=True, asked=True)
            if (said := process.line(process.check)) != "ready":
                process.stop()
                raise Failed(f"{process.command} said {said} instead of ready")
            return process

        def turn(arm: str, process: Process, label: str) -> Value:
            each = float(process.ask(f"{w.direction} {w.records[arm]}"))
            say(f"{w.id} {label}: {each:.0f} ns a record")
            return {"ns": each, "records_per_s": 1e9 / each, "peak_rss_mb": status_kb(process.pid, "VmHWM") / 1024}

        def warm(process: Process) -> None:
            warm_up = min(longest, WARM_UP)
            say(f"{w.id}: warming the JVM up for {warm_up:.0f} s")
            began = time.monotonic()
            while time.monotonic() - began < warm_up:
                turn("connect", process, "warm-up")

        # Dray's registers the schema and writes the messages that the others read.
        with ready(ours) as dray:
            with ready([*theirs, *TUNED]) as connect:
                warm(connect)
                turn("dray", dray, "warm-up of Dray")
                measured = [{"dray": turn("dray", dray, "Dray"), "connect": turn("connect", connect, "Apicurio"),
                             "dray again": turn("dray", dray, "Dray again")} for _ in range(rounds)]
            with ready([*theirs, *DEFAULT]) as default:
                warm(default)
                once = {"default": turn("connect", default, "Apicurio, which registers")}
    name = "apicurio-registry-utils-converter-"
    jars = [jar.name.removeprefix(name).removesuffix(".jar") for jar in apicurio.glob(f"{name}*.jar")]
    return {"versions": versions(SPEED, raw=None) | {"Apicurio": jars[0]}, "rounds": measured, "once": once, "jvm": JVM, "guarantees": GUARANTEES,
            "summary": summary(w, measured, once, "ns")}
