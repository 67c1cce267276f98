"""Protobuf schemas of the tests, compiled."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, message_factory

from penstock.ingest.decoders import protobuf
from penstock.schemas.protobuf import compile_schema
from penstock.schemas.registry import Kind, Schema

EVERYTHING = """
syntax = "proto3";
package shop;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/type/date.proto";
import "google/type/decimal.proto";
import "google/type/money.proto";
import "confluent/type/decimal.proto";
import "confluent/meta.proto";

enum Kind { UNKNOWN = 0; SALE = 1; REFUND = 2; NEGATIVE = -1; }
message Item { string sku = 1; optional int32 count = 2; repeated Tag tags = 3; }
message Tag { string name = 1; uint64 weight = 2; }
message Tree { string name = 1; repeated Tree branches = 2; }
message All {
  double f_double = 1; float f_float = 2; int32 f_int32 = 3; int64 f_int64 = 4; uint32 f_uint32 = 5;
  uint64 f_uint64 = 6; sint32 f_sint32 = 7; sint64 f_sint64 = 8; fixed32 f_fixed32 = 9;
  fixed64 f_fixed64 = 10; sfixed32 f_sfixed32 = 11; sfixed64 f_sfixed64 = 12; bool f_bool = 13;
  string f_string = 14; bytes f_bytes = 15;
  optional int32 o_int32 = 20; optional string o_string = 21; optional Kind o_kind = 22;
  optional bool o_bool = 23;
  Kind kind = 25; repeated Kind kinds = 26;
  Item item = 30; repeated Item items = 31; repeated int32 numbers = 32; repeated string texts = 33;
  map<string, Item> by_name = 40; map<int32, Kind> by_number = 41; map<bool, bytes> by_flag = 42;
  map<uint64, google.protobuf.Timestamp> by_big = 43;
  oneof choice { string c_text = 50; int64 c_number = 51; Item c_item = 52; }
  google.protobuf.Timestamp at = 60; repeated google.protobuf.Timestamp ats = 61;
  google.protobuf.Duration took = 62;
  google.protobuf.Int64Value w_int64 = 63; google.protobuf.UInt64Value w_uint64 = 64;
  google.protobuf.StringValue w_string = 65; google.protobuf.BoolValue w_bool = 66;
  google.protobuf.BytesValue w_bytes = 67; google.protobuf.DoubleValue w_double = 68;
  google.protobuf.FloatValue w_float = 69; google.protobuf.Int32Value w_int32 = 70;
  google.protobuf.UInt32Value w_uint32 = 71; repeated google.protobuf.Int64Value w_list = 72;
  google.protobuf.Struct struct = 80; google.protobuf.Value value = 81;
  google.protobuf.ListValue list = 82; google.protobuf.Any any = 83;
  google.protobuf.FieldMask mask = 84; google.protobuf.Empty empty = 85;
  google.type.Date day = 90; google.type.Decimal price = 91; google.type.Money money = 92;
  confluent.type.Decimal exact = 93;
  Tree tree = 95;
}
"""


def compiled(text: str) -> descriptor_pb2.FileDescriptorSet:
    return compile_schema(Schema(id=1, kind=Kind.PROTOBUF, text=text), {}).files


def classes(files: descriptor_pb2.FileDescriptorSet) -> Any:
    """Give the class of a message by its full name."""
    pool = protobuf.pool_of(files)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
