"""The door to the schema registry: Confluent's API, whoever serves it.

id in a record ─registry─▶ Schema + those it refers to ─protoc─▶ FileDescriptorSet   (protobuf)
                                                       └───────▶ the schema's JSON   (Avro)
"""
