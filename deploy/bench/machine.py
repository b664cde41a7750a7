"""On what, and of what versions: printed with every result."""

import os
import re
import subprocess
from pathlib import Path

from servers import DRAY, RAW, RIG, ROOT


def machine() -> dict[str, str]:
    cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M)
    return {"CPU": cpu[1] if cpu else os.uname().machine, "cores": str(os.cpu_count()), "memory": f"{int(memory[1]) // 1024**2 if memory else 0} GB",
            "kernel": os.uname().release}


def versions(dray: Path = DRAY, raw: Path | None = RAW) -> dict[str, str]:
    def said(*command: object) -> str:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=ROOT)
        return (done.stdout or done.stderr).splitlines()[0].strip() if done.returncode == 0 else "unknown"

    changed = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!deploy/bench/results"], capture_output=True, text=True, cwd=ROOT).stdout
    jars = [jar.name for jar in (RIG / "kafka/libs").glob("connect-runtime-*.jar")]
    return {"Dray": f"{said(dray, '--version').removeprefix(f'{dray.name} ')} at {said('git', 'rev-parse', '--short', 'HEAD')}{' with changes' if changed else ''}",
            "Kafka and Connect": jars[0].removeprefix("connect-runtime-").removesuffix(".jar") if jars else "unknown",
            **({"librdkafka": said(raw, "version")} if raw else {}), "Java": said("java", "-version"), "rustc": said("rustc", "--version").removeprefix("rustc ")}
