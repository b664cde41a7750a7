"""Others' clients of Kafka Connect, and Schemathesis, against `dray standalone`. Runs under deploy/rig/with-broker.sh, after fetch.sh.

  clients.py [SEED]      SEED=1 unless given: what Schemathesis makes up is the same each time
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rest-diff"))
from servers import RIG, Dray, Failed  # noqa: E402

HERE = Path(__file__).resolve().parent
CLIENTS = RIG / "rest-clients"
# Requests that are made up for each operation.
EXAMPLES = os.environ.get("DRAY_TEST_EXAMPLES", "25")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method"


def run(what: str, folder: Path, command: list[str], **more: str) -> None:
    done = subprocess.run(command, env=os.environ | more, cwd=folder)
    if done.returncode:
        raise Failed(f"{what}: exit code {done.returncode}")


def schemathesis(folder: Path, url: str, seed: str, *more: str) -> None:
    run("Schemathesis", folder, [str(CLIENTS / "bin/schemathesis"), "--config-file", str(HERE / "schemathesis.toml"), "run", f"{url}/openapi.json", "--seed", seed, "--max-examples", EXAMPLES,
                         "--generation-database", "none", "--request-timeout", "60", "--no-color", *more])


def main() -> None:
    seed = sys.argv[1] if len(sys.argv) > 1 else "1"
    bootstrap = os.environ.get("DRAY_TEST_BOOTSTRAP")
    if not bootstrap:
        raise Failed("DRAY_TEST_BOOTSTRAP names no broker: run `make rest-clients`")
    folder = Path(tempfile.mkdtemp(prefix="dray-rest-clients."))
    try:
        with Dray("Dray", folder / "dray", bootstrap) as dray:
            dray.until_ready()
            url = f"http://127.0.0.1:{dray.port}"
            run("walk.py", folder, [str(CLIENTS / "bin/python"), str(HERE / "walk.py"), url, str(folder)])
            file = folder / "npm.txt"
            file.write_text("one\n")
            config = {"connector.class": "FileStreamSource", "tasks.max": "1", "file": str(file), "topic": "clients-npm"}
            run("walk.js", folder, ["node", str(HERE / "walk.js"), str(dray.port), "npm", json.dumps(config)], DRAY_REST_CLIENTS=str(CLIENTS))
            # An agent that is removed, or has to give its tasks away, takes the answers of others with it.
            agents = "^/dray/v1/agents/"
            # What fits the document is never answered with 5xx; but a validation is that of a class that nobody has, as in Connect.
            schemathesis(folder, url, seed, "--mode", "positive", "--checks", CHECKS, "--exclude-path-regex", f"validate$|{agents}")
            # What does not fit is answered as Connect answers it, with 500 for a body of another type; always in the form that is described.
            schemathesis(folder, url, seed, "--mode", "all", "--checks", CHECKS.removeprefix("not_a_server_error,"), "--exclude-path-regex", agents)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"rest-clients: {failed}")
