"""Confluent's own client for Python, as the tests of AvroConverter drive it.

avro_client.py write URL TOPIC SCHEMA         rows as JSON on stdin, a line each; messages on stdout, as in lines.py. Or write-header
avro_client.py write-with URL TOPIC METADATA  the same with the schema that has these properties, as JSON
avro_client.py read URL TOPIC                 the other way round; or read-latest, with the newest schema of the subject
avro_client.py read-with URL TOPIC METADATA   the same with the schema that has these properties
"""

import datetime
import decimal
import json
import sys

import lines
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer

# Of each type that JSON has no word for, the fields of the rows.
FROM_JSON = {
    "ts": datetime.datetime.fromisoformat,
    "day": datetime.date.fromisoformat,
    "amount": decimal.Decimal,
}


def to_json(value):
    """What JSON has no word for, as the text that FROM_JSON reads."""
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat(timespec="milliseconds") if isinstance(value, datetime.datetime) else value.isoformat()
    return str(value)


def with_metadata(properties):
    """The setting for the newest schema with these properties."""
    return {"use.latest.with.metadata": json.loads(properties)}


def main():
    command, url, topic, *schema = sys.argv[1:]
    client = SchemaRegistryClient({"url": url})
    if command.startswith("write"):
        if command == "write-with":
            serializer = AvroSerializer(client, conf={"auto.register.schemas": False, **with_metadata(schema[0])})
        else:
            serializer = AvroSerializer(client, schema[0], conf=lines.settings(command))
        for line in sys.stdin:
            row = {name: FROM_JSON.get(name, lambda same: same)(value) for name, value in json.loads(line).items()}
            print(lines.write(serializer, row, topic))
    else:
        latest = with_metadata(schema[0]) if command == "read-with" else {"use.latest.version": command == "read-latest"}
        deserializer = AvroDeserializer(client, conf=latest)
        for line in sys.stdin:
            print(json.dumps(lines.read(deserializer, line, topic), default=to_json))


if __name__ == "__main__":
    main()
