"""The documents of `record_mongodb`, written by its server's own environment."""

from __future__ import annotations

import sys
import uuid
from datetime import UTC, datetime

import bson
import pymongo

PORT, STEP = int(sys.argv[1]), sys.argv[2]
client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(
    "127.0.0.1",
    PORT,
    directConnection=True,
    serverSelectionTimeoutMS=2000,
    uuidRepresentation="standard",
)
shop = client["shop"]

TYPES: dict[str, object] = {
    "_id": bson.ObjectId("65f0a1b2c3d4e5f601234567"),
    "text": 'žluť "🚀"\n',
    "int": 7,
    "long": bson.Int64(9223372036854775807),
    "double": 0.1,
    "nan": float("nan"),
    "infinity": float("inf"),
    "decimal": bson.Decimal128("12.500"),
    "decimal_nan": bson.Decimal128("NaN"),
    "yes": True,
    "nothing": None,
    "at": datetime(2024, 2, 29, 12, 34, 56, 789000, tzinfo=UTC),
    "before": datetime(1883, 11, 18, 12, tzinfo=UTC),
    "bytes": b"\xde\xad\xbe\xef\x00",
    "uuid": uuid.UUID("5f1b9a43-11bb-4a5c-9e0c-2f3a1d5c7e90"),
    "stamp": bson.Timestamp(1_700_000_000, 3),
    "pattern": bson.Regex("^a.*", "i"),
    "code": bson.Code("f()"),
    "min": bson.MinKey(),
    "nested": {
        "list": [1, {"deep": bson.Int64(2)}, None],
        "id": bson.ObjectId("65f0a1b2c3d4e5f601234568"),
    },
}

match STEP:
    case "ping":
        client.admin.command("ping")
    case "before":
        shop["types"].insert_one(TYPES)
        shop["orders"].insert_one(
            {"_id": {"region": "eu", "number": 1}, "note": "from before", "old": 1}
        )
    case "after":
        orders = shop["orders"]
        orders.insert_one(
            {"_id": 2, "note": "new", "lines": [{"sku": "a", "price": bson.Decimal128("1.10")}]}
        )
        orders.insert_one({"_id": "text", "note": None})
        orders.update_one(
            {"_id": 2}, {"$set": {"note": "changed", "lines.0.sku": "b"}, "$unset": {"old": ""}}
        )
        orders.update_one({"_id.number": 1}, {"$unset": {"old": ""}})
        orders.replace_one({"_id": "text"}, {"other": 1.5})
        orders.delete_one({"_id": 2})
        orders.insert_one({"_id": "finished"})
