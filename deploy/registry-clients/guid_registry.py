"""A registry that knows GUIDs and metadata of schemas, for tests: the one that Confluent's client for Python has for tests of its own, behind
HTTP. The real registry of the tests knows none.

It listens on a free port of 127.0.0.1, prints its URL, and ends when stdin does.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

CLIENT = SchemaRegistryClient.new_client({"url": "mock://"})
REGISTERED = CLIENT._store.schema_id_index


def by_number(number):
    """What is registered with that id."""
    if int(number) not in REGISTERED:
        raise SchemaRegistryError(404, 40403, "Schema not found")
    return REGISTERED[int(number)]


def by_guid(guid):
    """What is registered with that GUID."""
    schema = CLIENT.get_schema_by_guid(guid)
    return next(each for each in REGISTERED.values() if each.guid == guid and each.schema == schema)


def without_id(registered):
    """As Confluent's registry answers for an id or a GUID."""
    return {**registered.schema.to_dict(), "guid": registered.guid}


def answer(method, path, query, body):
    """The JSON of an answer."""
    match [method, *(unquote(part) for part in path.strip("/").split("/"))]:
        case ["POST", "subjects", subject, "versions"]:
            return CLIENT.register_schema_full_response(subject, Schema.from_dict(body)).to_dict()
        case ["POST", "subjects", subject]:
            return CLIENT.lookup_schema(subject, Schema.from_dict(body)).to_dict()
        case ["GET", "subjects", subject, "versions", "latest"]:
            return CLIENT.get_latest_version(subject).to_dict()
        case ["GET", "subjects", subject, "metadata"]:
            properties = dict(zip(query["key"], query["value"], strict=True))
            return CLIENT.get_latest_with_metadata(subject, properties, deleted=True).to_dict()
        case ["GET", "schemas", "ids", number]:
            return without_id(by_number(number))
        case ["GET", "schemas", "ids", number, "versions"]:
            registered = by_number(number)
            return [{"subject": registered.subject, "version": registered.version}]
        case ["GET", "schemas", "guids", guid]:
            return without_id(by_guid(guid))
        case ["GET", "schemas", "guids", guid, "ids"]:
            return [{"context": ".", "id": by_guid(guid).schema_id}]
    raise SchemaRegistryError(404, 404, "HTTP 404 Not Found")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Answers."""
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        try:
            url = urlsplit(self.path)
            status, found = 200, answer(self.command, url.path, parse_qs(url.query), body)
        except SchemaRegistryError as error:
            status, found = error.http_status_code, {"error_code": error.error_code, "message": error.error_message}
        text = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def log_message(self, *_):
        """Says nothing."""


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
