"""Confluent's own client for Python, as the tests of JsonSchemaConverter drive it.

json_client.py write URL TOPIC SCHEMA [REFERENCES]   rows as JSON on stdin, a line each; messages on stdout, as in lines.py. Or write-header
json_client.py read URL TOPIC                        the other way round, with each row checked against its schema
json_client.py valid URL TOPIC                       true or false for each message: whether its row is valid by its schema

REFERENCES is JSON: a list of objects with name, subject and version.
"""

import json
import sys

import jsonschema
import lines
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import SerializationError


def is_valid(deserializer, line, topic):
    """Whether a row is read, or is not valid."""
    try:
        lines.read(deserializer, line, topic)
    except SerializationError as error:
        assert isinstance(error.__context__, jsonschema.ValidationError), error
        return False
    return True


def main():
    command, url, topic, *more = sys.argv[1:]
    client = SchemaRegistryClient({"url": url})
    if command.startswith("write"):
        schema, *references = more
        references = [SchemaReference(**each) for text in references for each in json.loads(text)]
        serializer = JSONSerializer(Schema(schema, "JSON", references), client, conf=lines.settings(command))
        for line in sys.stdin:
            print(lines.write(serializer, json.loads(line), topic))
    else:
        deserializer = JSONDeserializer(None, schema_registry_client=client)
        for line in sys.stdin:
            if command == "valid":
                print(json.dumps(is_valid(deserializer, line, topic)))
            else:
                print(json.dumps(lines.read(deserializer, line, topic)))


if __name__ == "__main__":
    main()
