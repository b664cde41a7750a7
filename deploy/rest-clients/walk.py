"""Clients of Kafka Connect that others have written, each walking a connector from its creation to its end.

  walk.py URL FOLDER     run by clients.py, with the Python of .rig/rest-clients
"""

import json
import logging
import sys
import threading
import time
from http.client import HTTPConnection
from http.server import HTTPServer
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

URL, FOLDER = sys.argv[1], Path(sys.argv[2])
PATIENCE = 60.0


def config(name: str, **more: str) -> dict[str, str]:
    file = FOLDER / f"{name}.txt"
    file.write_text("one\ntwo\n")
    return {"connector.class": "FileStreamSource", "tasks.max": "1", "file": str(file), "topic": f"clients-{name}"} | more


def until(what: str, condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not in time: {what}")
        time.sleep(0.05)


def in_state(status: dict, state: str) -> bool:
    return [status["connector"]["state"]] + [task["state"] for task in status["tasks"]] == [state, state]


def kafka_connect_py() -> None:
    from kafka_connect import KafkaConnect
    from requests.exceptions import HTTPError

    client, name = KafkaConnect(url=URL), "py"
    assert client.get_cluster_info()["version"].startswith("4.")
    client.create_connector({"name": name, "config": config(name)})
    runs = lambda state: until(state, lambda: in_state(client.get_connector_status(name), state))
    runs("RUNNING")
    assert name in client.list_connectors()
    assert client.list_connectors(expand="status", state="RUNNING", pattern="p")[name]["status"]["name"] == name
    client.pause_connector(name)
    runs("PAUSED")
    client.resume_connector(name)
    runs("RUNNING")
    client.restart_connector(name)
    restarted = client.restart_connector(name, include_tasks=True)
    assert restarted["connector"]["state"] == "RESTARTING", restarted
    runs("RUNNING")
    client.update_connector(name, config(name) | {"batch.size": "10"})
    assert client.get_connector_config(name)["batch.size"] == "10"
    assert client.validate_connector_config("FileStreamSource", config(name) | {"name": name})["error_count"] == 0
    client.stop_connector(name)
    client.delete_connector(name)
    try:
        client.get_connector(name)
        raise AssertionError("it is still there")
    except HTTPError as error:
        assert error.response.status_code == 404


def kafkaconnect() -> None:
    from kafkaconnect.connect import Connect

    client, name = Connect(URL), "kc"
    created = json.loads(client.validate_and_create(name, json.dumps(config(name) | {"name": name})))
    assert created["name"] == name, created
    runs = lambda state: until(state, lambda: in_state(json.loads(client.status(name)), state))
    runs("RUNNING")
    assert name in json.loads(client.list()) and json.loads(client.plugins())
    until("topics", lambda: json.loads(client.topics(name)) == {name: {"topics": [f"clients-{name}"]}})
    client.pause(name)
    runs("PAUSED")
    client.resume(name)
    runs("RUNNING")
    client.restart(name)
    runs("RUNNING")
    assert len(json.loads(client.tasks(name))) == 1
    assert json.loads(client.config(name))["topic"] == f"clients-{name}"
    client.remove(name)
    assert "not found" in client.info(name)


def kafka_connect_api() -> None:
    from kafka_connect_api.kafka_connect_api import Api, Cluster, Connector

    where, name = urlsplit(URL), "api"
    cluster = Cluster(Api(hostname=where.hostname, port=where.port))
    assert cluster.version.startswith("4.") and cluster.kafka_cluster
    connector = Connector(cluster, name)
    connector.config = config(name)
    runs = lambda state: until(state, lambda: in_state(connector.status, state))
    runs("RUNNING")
    assert name in cluster.connectors and connector.exists()
    connector.pause()
    runs("PAUSED")
    connector.resume()
    runs("RUNNING")
    connector.restart()
    connector.restart_all_tasks()
    runs("RUNNING")
    connector.cycle_connector()
    runs("RUNNING")
    assert connector.tasks[0].is_running() and connector.config["topic"] == f"clients-{name}"
    connector.delete()
    assert name not in cluster.connectors


def broken(name: str) -> dict[str, str]:
    """A sink whose task fails until its folder is there, and is not started again by Dray itself."""
    return {"connector.class": "FileStreamSink", "tasks.max": "1", "topics": f"clients-{name}", "file": str(FOLDER / name / "out.txt"),
            "dray.restart.policy": "none"}


def kafka_connect_healthcheck() -> None:
    from kafka_connect_api.kafka_connect_api import Api, Cluster, Connector
    from kafka_connect_healthcheck.handler import RequestHandler
    from kafka_connect_healthcheck.health import Health

    health = Health(URL, None, ["FAILED"], "", 0, ["connector", "task"])
    server = HTTPServer(("127.0.0.1", 0), partial(RequestHandler, health))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        def asked() -> tuple[int, dict]:
            connection = HTTPConnection(*server.server_address, timeout=PATIENCE)
            connection.request("GET", "/")
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

        assert asked()[0] == 200, asked()
        connector = Connector(Cluster(Api(url=URL)), "sick")
        connector.config = broken("sick")
        until("it is seen to be sick", lambda: asked()[0] == 503)
        failure = asked()[1]["failures"][0]
        assert (failure["type"], failure["connector"], failure["state"]) == ("task", "sick", "FAILED") and failure["trace"], failure
        (FOLDER / "sick").mkdir()
        connector.restart_all_tasks()
        until("it is seen to be well", lambda: asked()[0] == 200)
        connector.delete()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def kafka_connect_watcher() -> None:
    from kafka_connect_api.kafka_connect_api import Connector
    from kafka_connect_watcher.cluster import ConnectCluster

    where = urlsplit(URL)
    rule = {"include_regex": ["^watched$"], "auto_correct_actions": [{"action": "cycle", "wait_for_status": "5s"}]}
    watcher = ConnectCluster({"hostname": where.hostname, "port": where.port, "name": "dray", "evaluation_rules": [rule]}, None)
    connector = Connector(watcher.cluster, "watched")
    connector.config = broken("watched")
    until("it has failed", lambda: [task.state for task in connector.tasks] == ["FAILED"])
    (FOLDER / "watched").mkdir()

    def corrected() -> bool:
        # It may find nothing to do: its queue says that it is empty until what was put there has arrived.
        watcher.handling_rules[0].execute(watcher)
        return in_state(connector.status, "RUNNING")

    until("it is corrected", corrected)
    connector.delete()


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    for walk in (kafka_connect_py, kafkaconnect, kafka_connect_api, kafka_connect_healthcheck, kafka_connect_watcher):
        begun = time.monotonic()
        walk()
        print(f"rest-clients: {walk.__name__.replace('_', '-')}: {time.monotonic() - begun:.1f} s", flush=True)
