"""Confluent's own client for Python, as the tests of AvroConverter drive it.

avro_client.py write URL TOPIC SCHEMA   rows as JSON on stdin, a line each; messages in base64 on stdout
avro_client.py read URL TOPIC           the other way round
"""

import base64
import datetime
import decimal
import json
import sys

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

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


def main():
    command, url, topic, *schema = sys.argv[1:]
    client = SchemaRegistryClient({"url": url})
    context = SerializationContext(topic, MessageField.VALUE)
    if command == "write":
        serializer = AvroSerializer(client, schema[0])
        for line in sys.stdin:
            row = {name: FROM_JSON.get(name, lambda same: same)(value) for name, value in json.loads(line).items()}
            print(base64.b64encode(serializer(row, context)).decode())
    else:
        deserializer = AvroDeserializer(client)
        for line in sys.stdin:
            print(json.dumps(deserializer(base64.b64decode(line), context), default=to_json))


if __name__ == "__main__":
    main()
