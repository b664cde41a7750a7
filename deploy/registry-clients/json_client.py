"""Confluent's own client for Python, as the tests of JsonSchemaConverter drive it.

json_client.py write URL TOPIC SCHEMA [REFERENCES]   rows as JSON on stdin, a line each; messages on stdout, as in lines.py. Or write-header
json_client.py read URL TOPIC                        the other way round, with each row checked against its schema

REFERENCES is JSON: a list of objects with name, subject and version.
"""

import json
import sys

import lines
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer


def main():
    command, url, topic, *more = sys.argv[1:]
    client = SchemaRegistryClient({"url": url})
    if command != "read":
        schema, *references = more
        references = [SchemaReference(**each) for text in references for each in json.loads(text)]
        serializer = JSONSerializer(Schema(schema, "JSON", references), client, conf=lines.settings(command))
        for line in sys.stdin:
            print(lines.write(serializer, json.loads(line), topic))
    else:
        deserializer = JSONDeserializer(None, schema_registry_client=client)
        for line in sys.stdin:
            print(json.dumps(lines.read(deserializer, line, topic)))


if __name__ == "__main__":
    main()
