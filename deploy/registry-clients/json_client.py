"""Confluent's own client for Python, as the tests of JsonSchemaConverter drive it.

json_client.py write URL TOPIC SCHEMA [REFERENCES]   rows as JSON on stdin, a line each; messages in base64 on stdout
json_client.py read URL TOPIC                        the other way round, with each row checked against its schema

REFERENCES is JSON: a list of objects with name, subject and version.
"""

import base64
import json
import sys

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext


def main():
    command, url, topic, *more = sys.argv[1:]
    client = SchemaRegistryClient({"url": url})
    context = SerializationContext(topic, MessageField.VALUE)
    if command == "write":
        schema, *references = more
        references = [SchemaReference(**each) for text in references for each in json.loads(text)]
        serializer = JSONSerializer(Schema(schema, "JSON", references), client)
        for line in sys.stdin:
            print(base64.b64encode(serializer(json.loads(line), context)).decode())
    else:
        deserializer = JSONDeserializer(None, schema_registry_client=client)
        for line in sys.stdin:
            print(json.dumps(deserializer(base64.b64decode(line), context)))


if __name__ == "__main__":
    main()
