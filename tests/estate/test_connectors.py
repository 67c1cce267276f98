"""Connectors in estate files: what a good one becomes, and everything a bad one is told."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.control import declare
from penstock.control.declare import Estate, EstateFile
from penstock.control.declare.connector_secrets import explain_open_secret, is_reference
from penstock.control.observations import Observed, Recorded
from penstock.control.plan import make_plan
from penstock.errors import ConfigError, Fault
from penstock.model import connectors

pytestmark = pytest.mark.unit

CLUSTERS = """\
kind: Cluster
name: primary
environment: development
embedded: true
topic-defaults: {partitions: 1, replication: 1}
---
kind: Cluster
name: standby
environment: development
embedded: true
topic-defaults: {partitions: 1, replication: 1}
---
kind: Cluster
name: live
environment: production
bootstrap: {mtls: 'one:9094'}
topic-defaults: {partitions: 1, replication: 1}
"""


def topic(name: str, clusters: str = "[primary]") -> str:
    return f"kind: Topic\nname: {name}\nowner: shop\nclusters: {clusters}\n"


TOPICS = "---\n".join(
    topic(name) for name in ("shop.public.orders", "shop.public.order_lines", "all", "web.db.users")
)

POSTGRES = """\
kind: Connector
name: shop
owner: shop
cluster: primary
type: postgres
postgres:
  host: db.shop
  database: shop
  user: penstock
  password: ${file:shop.properties:password}
  tables: [public.orders, public.order_lines]
"""

MONGODB = """\
kind: Connector
name: web
owner: web
cluster: primary
type: mongodb
mongodb:
  connection: ${env:MONGO}
  collections: db.users
"""

CUSTOM = """\
kind: Connector
name: faker
owner: shop
cluster: primary
type: custom
connector-class: com.example.Faker
topics: all
"""

SNOWFLAKE = """\
kind: Connector
name: flake
owner: shop
cluster: primary
type: snowflake
topics: [shop.public.orders]
tasks: 4
config:
  snowflake.url.name: acme.snowflakecomputing.com
  snowflake.user.name: penstock
  snowflake.private.key: ${env:SNOWFLAKE_KEY}
  snowflake.database.name: LAKE
  snowflake.schema.name: RAW
"""


def parse(*contents: str) -> Estate:
    texts = (CLUSTERS, TOPICS, *contents)
    return declare.parse([EstateFile(path=f"{n}.yaml", content=t) for n, t in enumerate(texts)])


def one(*contents: str) -> connectors.Connector:
    [connector] = parse(*contents).connectors.values()
    return connector


def faults_of(*contents: str) -> tuple[Fault, ...]:
    with pytest.raises(ConfigError) as caught:
        parse(*contents)
    assert all(fault.next_step for fault in caught.value.faults)
    return caught.value.faults


def only_fault(*contents: str) -> Fault:
    [fault] = faults_of(*contents)
    return fault


def test_a_postgres_source_becomes_settings_that_debezium_takes() -> None:
    connector = one(POSTGRES)
    assert connector.ident == "development/shop"
    assert connector.connector_class == "io.debezium.connector.postgresql.PostgresConnector"
    assert connector.topics == ("shop.public.orders", "shop.public.order_lines")
    assert connector.config == {
        "binary.handling.mode": "bytes",
        "database.dbname": "shop",
        "database.hostname": "db.shop",
        "database.password": "${file:shop.properties:password}",
        "database.port": "5432",
        "database.user": "penstock",
        "decimal.handling.mode": "string",
        "heartbeat.action.query": "SELECT pg_logical_emit_message(true, 'penstock-heartbeat', '')",
        "heartbeat.interval.ms": "10000",
        "hstore.handling.mode": "map",
        "interval.handling.mode": "string",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "message.prefix.exclude.list": ".*",
        "plugin.name": "pgoutput",
        "predicates": "heartbeat",
        "predicates.heartbeat.pattern": r"__debezium-heartbeat\..*",
        "predicates.heartbeat.type": (
            "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"
        ),
        "publication.autocreate.mode": "filtered",
        "publication.name": "penstock_shop",
        "retriable.restart.connector.wait.ms": "2000",
        "skipped.operations": "none",
        "slot.name": "penstock_shop",
        "snapshot.mode": "initial",
        "table.include.list": r"public\.orders,public\.order_lines",
        "time.precision.mode": "adaptive",
        "tombstones.on.delete": "false",
        "topic.creation.default.cleanup.policy": "compact",
        "topic.creation.default.partitions": "1",
        "topic.creation.default.replication.factor": "-1",
        "topic.prefix": "shop",
        "transforms": "event",
        "transforms.event.negate": "true",
        "transforms.event.predicate": "heartbeat",
        "transforms.event.timezone": "UTC",
        "transforms.event.type": "org.penstock.connect.StandardEvent",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    }


def test_what_a_postgres_source_may_choose() -> None:
    connector = one(
        POSTGRES + "  port: 5433\n  slot: mine\n  publication: Pub\n  snapshot: no_data\n"
        "  heartbeat: 1s\n  signals: ops.signals\n  timezone: Europe/Berlin\n  topic: all\n"
        "state: paused\nconfig: {snapshot.fetch.size: 2000, transforms.event.json: nested,\n"
        "  heartbeat.action.query: SELECT 1}\n"
    )
    assert connector.state is connectors.ConnectorState.PAUSED
    assert connector.topics == ("all",)
    chosen = {
        "database.port": "5433",
        "slot.name": "mine",
        "publication.name": "Pub",
        "snapshot.mode": "no_data",
        "heartbeat.interval.ms": "1000",
        "signal.data.collection": "ops.signals",
        "table.include.list": r"public\.orders,public\.order_lines,ops\.signals",
        "transforms": "event,topic",
        "transforms.topic.negate": "true",
        "transforms.topic.predicate": "heartbeat",
        "heartbeat.action.query": "SELECT 1",
        "transforms.event.ignored.namespaces": "ops.signals",
        "transforms.event.json": "nested",
        "transforms.event.timezone": "Europe/Berlin",
        "transforms.topic.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.topic.regex": ".*",
        "transforms.topic.replacement": "all",
        "snapshot.fetch.size": "2000",
    }
    assert {key: connector.config.get(key) for key in chosen} == chosen


def test_a_mongodb_source_reads_whole_documents() -> None:
    connector = one(MONGODB)
    assert connector.connector_class == "io.debezium.connector.mongodb.MongoDbConnector"
    assert connector.topics == ("web.db.users",)
    assert connector.config == {
        "capture.mode": "change_streams_update_full",
        "collection.include.list": r"db\.users",
        "heartbeat.interval.ms": "10000",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "mongodb.connection.string": "${env:MONGO}",
        "predicates": "heartbeat",
        "predicates.heartbeat.pattern": r"__debezium-heartbeat\..*",
        "predicates.heartbeat.type": (
            "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"
        ),
        "snapshot.mode": "initial",
        "tombstones.on.delete": "false",
        "topic.creation.default.cleanup.policy": "compact",
        "topic.creation.default.partitions": "1",
        "topic.creation.default.replication.factor": "-1",
        "topic.prefix": "web",
        "transforms": "event",
        "transforms.event.negate": "true",
        "transforms.event.predicate": "heartbeat",
        "transforms.event.type": "org.penstock.connect.StandardEvent",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    }


def test_sinks_and_classes_of_ones_own() -> None:
    made = parse(SNOWFLAKE, CUSTOM).connectors
    flake, faker = made["development/flake"], made["development/faker"]
    assert flake.connector_class == "com.snowflake.kafka.connector.SnowflakeSinkConnector"
    assert (flake.tasks, flake.config["topics"]) == (4, "shop.public.orders")
    assert (faker.connector_class, dict(faker.config)) == ("com.example.Faker", {})


def test_a_table_with_an_odd_name_is_matched_by_that_name_only() -> None:
    odd = POSTGRES.replace("tables: [public.orders, public.order_lines]", "tables: public.a+b$")
    connector = one(odd, topic("shop.public.a_b_"))
    assert connector.topics == ("shop.public.a_b_",)
    assert re.fullmatch(connector.config["table.include.list"], "public.a+b$")


@pytest.mark.parametrize(
    ("old", "new", "number", "what", "next_step"),
    [
        ("cluster: primary", "cluster: primry", 4, "no Cluster is called 'primry'", "primary?"),
        ("cluster: primary", "cluster: standby", 11, "not on its cluster standby", "standby among"),
        ("cluster: primary", "cluster: live", 11, "not in production, but in development", "live"),
        ("type: postgres", "type: oracle", 5, "type: 'oracle' is wrong", "'postgres'"),
        ("type: postgres", "type: postgres\ntasks: 2", 6, "with one task", "write 1"),
        ("type: postgres", "type: postgres\nstate: off", 6, "state: 'off' is wrong", "'running'"),
        ("type: postgres", "type: postgres\nconnector-class: a.B", 6, "its own class", "custom"),
        ("type: postgres", "type: postgres\ntopics: all", 6, "follow from", "set prefix:"),
        ("host: db.shop", "host: ''", 7, "postgres.host: '' is wrong", "character"),
        ("host: db.shop", "hots: db.shop", 7, "postgres.hots: is unknown", "host?"),
        ("user: penstock", "slot: Mine", 9, "PostgreSQL refuses the slot name 'Mine'", "a-z"),
        ("user: penstock", "slot: a-b", 9, "PostgreSQL refuses the slot name 'a-b'", "a-z"),
        ("user: penstock", f"slot: {'x' * 64}", 9, "PostgreSQL refuses the slot name", "1 to 63"),
        ("user: penstock", "publication: a-b", 9, "'a-b' is no plain name", "letters"),
        ("user: penstock", "port: 0", 9, "postgres.port: 0 is wrong", "1 or more"),
        ("user: penstock", "snapshot: never", 9, "snapshot: 'never' is wrong", "'initial'"),
        ("user: penstock", "heartbeat: 10", 9, "it needs a unit", "7d"),
        ("${file:shop.properties:password}", "hunter2", 10, "a secret must not stand", "${env"),
        ("${file:shop.properties:password}", "${vault:a}", 10, "a secret must not", "${file:"),
        ("public.order_lines]", "public.orders]", 11, "public.orders is named twice", "Remove"),
        ("public.order_lines]", "orders]", 11, "'orders' is no full name", "schema.table"),
        (
            "public.order_lines]",
            "public.ordrs]",
            11,
            "no topic is called shop.public.ordrs",
            "kind",
        ),
        ("[public.orders, public.order_lines]", "[]", 11, "tables: [] is wrong", "at least one"),
    ],
)
def test_a_postgres_connector_with_a_wrong_line(
    old: str, new: str, number: int, what: str, next_step: str
) -> None:
    told = [f for f in faults_of(POSTGRES.replace(old, new)) if what in f.what]
    assert [(fault.file, fault.line) for fault in told[:1]] == [("2.yaml", number)]
    assert next_step in told[0].next_step


@pytest.mark.parametrize(
    ("document", "line", "number", "what"),
    [
        (POSTGRES, "config: {slot.name: a}", 12, "config.slot.name: follows from the rest"),
        (POSTGRES, "config:\n  decimal.handling.mode: precise", 13, "follows from the rest"),
        (POSTGRES, "config: {tasks.max: 1}", 12, "config.tasks.max: has a field of its own"),
        (POSTGRES, "config: {ssl.key.password: x}", 12, "looks like a secret"),
        (POSTGRES, "mongodb: {connection: '${env:M}', collections: a.b}", 12, "mongodb: is not"),
        (MONGODB, "tasks: 3", 9, "with one task"),
        (MONGODB, "  topic: nowhere", 9, "mongodb.topic: no topic is called nowhere"),
        (CUSTOM, "config: {api.token: abc}", 8, "looks like a secret"),
        (CUSTOM, "config: {url: 'http://a:b@c/'}", 8, "its URL holds a password"),
        (CUSTOM, "config: {connector.class: a.B}", 8, "has a field of its own"),
        (SNOWFLAKE, "postgres: 7", 14, "postgres: 7 is wrong"),
    ],
)
def test_one_line_too_many(document: str, line: str, number: int, what: str) -> None:
    fault = only_fault(document + line + "\n")
    assert (fault.file, fault.line) == ("2.yaml", number)
    assert what in fault.what


@pytest.mark.parametrize(
    ("document", "line", "number", "what"),
    [
        (POSTGRES, POSTGRES[POSTGRES.index("postgres:\n") :], 5, "does not say its source"),
        (CUSTOM, "connector-class: com.example.Faker\n", 5, "this custom connector has no class"),
        (CUSTOM, "owner: shop\n", 1, "this Connector has no owner"),
        (SNOWFLAKE, "topics: [shop.public.orders]\n", 5, "reads no topic"),
        (SNOWFLAKE, "  snowflake.database.name: LAKE\n", 8, "needs snowflake.database.name"),
    ],
)
def test_one_line_too_few(document: str, line: str, number: int, what: str) -> None:
    fault = only_fault(document.replace(line, ""))
    assert (fault.file, fault.line) == ("2.yaml", number)
    assert what in fault.what


def test_a_name_too_long_for_a_slot_asks_for_one() -> None:
    long = POSTGRES.replace("name: shop", f"name: {'x' * 60}").replace(
        "  database: shop", "  database: shop\n  prefix: shop"
    )
    assert "too long for PostgreSQL" in only_fault(long).what
    assert one(long + "  slot: short\n").config["slot.name"] == "short"


def test_a_connection_string_without_a_password_may_stand_in_the_open() -> None:
    plain = "mongodb://db:27017/?replicaSet=rs0"
    assert one(MONGODB.replace("${env:MONGO}", plain)).config["mongodb.connection.string"] == plain
    open_ = MONGODB.replace("${env:MONGO}", "mongodb://me:secret@db/")
    assert "password" in only_fault(open_).what


SECOND = POSTGRES.replace("name: shop\nowner", "name: other\nowner")


def test_two_connectors_cannot_share_what_only_one_may_have() -> None:
    own = SECOND + "  slot: two\n"
    assert len(parse(POSTGRES, own + "  topic: all\n").connectors) == 2

    name = faults_of(POSTGRES, POSTGRES + "  slot: two\n")
    assert [(f.file, f.line) for f in name if "name: development/shop is taken" in f.what] == [
        ("3.yaml", 2)
    ]
    slot = only_fault(POSTGRES, SECOND + "  topic: all\n  slot: penstock_shop\n  publication: p\n")
    assert (slot.file, slot.line) == ("3.yaml", 13)
    assert "slot penstock_shop on db.shop:5432 is taken, by connector development/shop" in slot.what
    upper = SECOND.replace("db.shop", "DB.shop").replace("database: shop", "database: other")
    assert (
        "penstock_shop"
        in only_fault(
            POSTGRES, upper + "  topic: all\n  slot: penstock_shop\n  publication: p\n"
        ).what
    )
    publication = only_fault(POSTGRES, own + "  topic: all\n  publication: penstock_shop\n")
    assert "publication penstock_shop of shop" in publication.what
    tables = faults_of(POSTGRES, own + "  prefix: shop\n")
    assert len(tables) == 2
    assert all("the way of public.order" in fault.what for fault in tables)


def test_many_faults_are_told_together() -> None:
    wrong = POSTGRES.replace("public.orders", "orders").replace("host: db.shop", "port: 99999")
    found = faults_of(wrong.replace("primary", "nowhere") + "tasks: 0\nconfig: {a.secret: b}\n")
    assert {fault.line for fault in found} >= {4, 6, 7, 11, 12, 13}


def test_a_topic_with_a_fault_of_its_own_is_told_once() -> None:
    broken = topic("shop.public.more").replace("owner: shop", "owner: SHOP")
    more = POSTGRES.replace("public.order_lines]", "public.more]")
    assert only_fault(broken, more).what.startswith("owner:")


@given(st.text(min_size=1).filter(lambda text: "${" not in text))
def test_no_plain_text_passes_for_a_reference(text: str) -> None:
    assert not is_reference(text)
    assert explain_open_secret("database.password", text)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sasl.jaas.config", 'x required username="u" password="${env:P}";'),
        ("database.url", "postgresql://me:${env:P}@db/shop"),
        ("ssl.truststore.location", "/etc/trust.jks"),
        ("sasl.oauthbearer.token.endpoint.url", "https://idp/token"),
        ("aws.credentials.provider", "a.B"),
        ("key.converter", "a.B"),
        ("tokens.max", "5"),
        ("db.password", "${file:db.properties:password}"),
    ],
)
def test_what_is_no_open_secret(key: str, value: str) -> None:
    assert explain_open_secret(key, value) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sasl.jaas.config", 'x required username="u" password="hunter2";'),
        ("value.converter.basic.auth.user.info", "me:hunter2"),
        ("snowflake.private.key", "MIIE"),
        ("snowflake.private.key.passphrase", "hunter2"),
        ("aws.secret.access.key", "abc"),
        ("accessToken", "${env:T} and more"),
        ("google.credentials", "{}"),
        ("dbPassword", ""),
    ],
)
def test_what_is_an_open_secret(key: str, value: str) -> None:
    assert explain_open_secret(key, value)


def plan_lines(declared: Estate, recorded: Recorded) -> list[str]:
    plan = make_plan(declared, Observed(), recorded)
    return [change.summary() for change in plan.changes]


def alone(connector: connectors.Connector) -> Estate:
    return Estate(connectors={connector.ident: connector})


def test_a_plan_shows_connectors() -> None:
    connector = one(POSTGRES)
    recorded = Recorded(connectors={connector.ident: connector})
    assert plan_lines(alone(connector), Recorded()) == [
        "declare postgres connector development/shop on primary, running"
    ]
    assert plan_lines(alone(connector), recorded) == []
    paused = replace(connector, state=connectors.ConnectorState.PAUSED)
    assert plan_lines(alone(paused), recorded) == ["update connector development/shop: state"]
    [gone] = plan_lines(Estate(), recorded)
    assert gone == (
        "stop connector development/shop; its offsets and slot penstock_shop stay until "
        "`penstock connector delete shop`"
    )


@pytest.mark.parametrize(
    "moved",
    [
        POSTGRES + "  slot: another\n",
        POSTGRES.replace("database: shop", "database: other"),
        POSTGRES + "  prefix: other\n  topic: all\n",
        POSTGRES.replace("cluster: primary", "cluster: standby") + "  topic: both\n",
    ],
)
def test_a_connector_never_loses_its_place_in_its_source(moved: str) -> None:
    old = one(POSTGRES)
    new = one(moved, topic("both", "[primary, standby]"))
    plan = make_plan(alone(new), Observed(), Recorded(connectors={old.ident: old}))
    assert not plan.changes
    [refusal] = plan.refusals
    assert refusal.subject == "development/shop"
    assert "cannot change in place" in refusal.reason
    assert refusal.next_step
