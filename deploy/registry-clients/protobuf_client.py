"""Confluent's own client for Python, as the tests of ProtobufConverter drive it. Nothing is generated beforehand: the classes of messages are
made of descriptors, which come as a list of FileDescriptorProto in JSON.

protobuf_client.py write URL TOPIC FILES MESSAGE   rows as JSON on stdin, a line each; messages on stdout, as in lines.py. Or write-header
protobuf_client.py read URL TOPIC FILES MESSAGE    the other way round
"""

import json
import sys

import lines
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory


def message_class(files, name):
    """The class of the message of that full name. What everybody imports is in the pool already."""
    pool = descriptor_pool.Default()
    for file in json.loads(files):
        pool.Add(json_format.ParseDict(file, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def main():
    command, url, topic, files, name = sys.argv[1:]
    message = message_class(files, name)
    if command != "read":
        serializer = ProtobufSerializer(message, SchemaRegistryClient({"url": url}), conf=lines.settings(command))
        for line in sys.stdin:
            print(lines.write(serializer, json_format.Parse(line, message()), topic))
    else:
        # With a registry it would ask for the writer's schema as a descriptor (format=serialized), which Apicurio has no answer to.
        deserializer = ProtobufDeserializer(message)
        for line in sys.stdin:
            row = lines.read(deserializer, line, topic)
            print(json.dumps(json_format.MessageToDict(row, preserving_proto_field_name=True)))


if __name__ == "__main__":
    main()
