"""Messages as the tests exchange them with Confluent's client: a line each, in base64, and behind a blank the header with the id of the schema
where the id is not before the value."""

import base64

from confluent_kafka.schema_registry import header_schema_id_serializer
from confluent_kafka.serialization import MessageField, SerializationContext

HEADER = "__value_schema_id"


def settings(command):
    """The settings of a serializer: `write-header` has the id in a header."""
    return {"schema.id.serializer": header_schema_id_serializer} if command == "write-header" else {}


def write(serializer, value, topic):
    """The line of a value."""
    headers = []
    message = serializer(value, SerializationContext(topic, MessageField.VALUE, headers))
    assert all(name == HEADER for name, _ in headers)
    return " ".join(base64.b64encode(part).decode() for part in (message, *(value for _, value in headers)))


def read(deserializer, line, topic):
    """The value of a line."""
    message, *header = (base64.b64decode(part) for part in line.split())
    headers = [(HEADER, value) for value in header]
    return deserializer(message, SerializationContext(topic, MessageField.VALUE, headers))
