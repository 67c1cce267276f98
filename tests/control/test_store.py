"""The store, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from penstock.control import changes
from penstock.control.declare.estate import EstateFile
from penstock.control.store import (
    audit,
    clients,
    emptyings,
    estates,
    health,
    leases,
    migrating,
    plans,
    schema,
    switches,
    versions,
)
from penstock.control.store.clients import Report
from penstock.control.store.database import Database
from penstock.control.store.emptyings import Emptying
from penstock.control.store.health import ClusterHealth
from penstock.control.store.opening import open_store
from penstock.control.store.plans import Status
from penstock.errors import ConfigError, NotReady, RemoteError
from penstock.model import clusters, tables, topics

pytestmark = pytest.mark.real

CLUSTER = clusters.Cluster(
    name="primary",
    environment="test",
    bootstrap={clusters.AuthMode.PLAINTEXT: "localhost:9092"},
    cluster_id="abc",
)
TOPIC = topics.Topic(
    name="orders",
    environment="test",
    owner="shop",
    epochs=(
        topics.Epoch(
            number=1,
            state=topics.EpochState.SEALED,
            routing=topics.Routing.NA,
            placements=(topics.Placement(cluster="old", topic="orders", partitions=2),),
            sealed={"old": (17, 4)},
        ),
        topics.Epoch(
            number=2,
            state=topics.EpochState.OPEN,
            routing=topics.Routing.FAILOVER,
            placements=(
                topics.Placement(
                    cluster="primary", topic="orders", partitions=2, config={"a": "b"}
                ),
            ),
        ),
    ),
)
TABLE = tables.Table(
    name="orders",
    topic="orders",
    environment="test",
    owner="shop",
    path="orders",
    columns=(tables.Column(name="at", type="timestamp"),),
)


def test_what_is_recorded_is_read_back(store: Database) -> None:
    with store.write() as tx:
        estates.put_cluster(tx, CLUSTER)
        estates.put_topic(tx, TOPIC)
        estates.put_table(tx, TABLE)
        estates.own(tx, "primary", "orders", ident=TOPIC.ident)
        estates.put_files(tx, [EstateFile(path="a.yaml", content="kind: Topic")])
    with store.read() as tx:
        recorded = estates.recorded(tx)
        assert recorded.clusters == {"primary": CLUSTER}
        assert recorded.topics == {TOPIC.ident: TOPIC}
        assert recorded.tables == {TABLE.ident: TABLE}
        assert recorded.ownership == {("primary", "orders"): TOPIC.ident}
        assert estates.topic(tx, TOPIC.ident) == TOPIC
        assert estates.cluster(tx, "primary") == CLUSTER
        assert estates.files(tx) == [EstateFile(path="a.yaml", content="kind: Topic")]


def test_what_is_dropped_is_gone_with_its_switches(store: Database) -> None:
    with store.write() as tx:
        estates.put_cluster(tx, CLUSTER)
        estates.put_topic(tx, TOPIC)
        estates.put_table(tx, TABLE)
        switches.cordon(tx, "primary", reason="")
        switches.activate(tx, TOPIC.ident, cluster="primary", reason="")
        estates.drop_topic(tx, TOPIC.ident)
        estates.drop_cluster(tx, "primary")
        estates.drop_table(tx, TABLE.ident)
        # Back under the same name: nothing of its former life may cling to it.
        estates.put_cluster(tx, CLUSTER)
        estates.put_topic(tx, TOPIC)
    with store.read() as tx:
        snapshot = switches.snapshot(tx)
        assert snapshot.clusters["primary"].state is clusters.ClusterState.ACTIVE
        assert snapshot.topics[TOPIC.ident] == TOPIC
        assert not estates.recorded(tx).tables


def test_every_change_of_metadata_moves_the_version_once(store: Database) -> None:
    steps = [
        lambda tx: estates.put_cluster(tx, CLUSTER),
        lambda tx: estates.put_topic(tx, TOPIC),
        lambda tx: switches.cordon(tx, "primary", reason="disk"),
        lambda tx: switches.uncordon(tx, "primary"),
        lambda tx: switches.activate(tx, TOPIC.ident, cluster="primary", reason=""),
        lambda tx: switches.fail_back(tx, TOPIC.ident),
        lambda tx: estates.put_table(tx, TABLE),
        lambda tx: estates.drop_topic(tx, TOPIC.ident),
    ]
    for step in steps:
        with store.write() as tx:
            before = versions.current(tx)
            step(tx)
            assert versions.current(tx) == before + 1


def test_a_transaction_that_fails_leaves_nothing(store: Database) -> None:
    def fail_half_way() -> None:
        with store.write() as tx:
            estates.put_cluster(tx, CLUSTER)
            audit.append(tx, who="a", what="b", subject="c")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    with store.read() as tx:
        assert not estates.recorded(tx).clusters
        assert not audit.entries(tx)
        assert versions.current(tx) == 1


def test_a_declared_state_is_not_hidden_by_a_cordon(store: Database) -> None:
    draining = replace(CLUSTER, state=clusters.ClusterState.DRAINING)
    with store.write() as tx:
        estates.put_cluster(tx, draining)
        switches.cordon(tx, "primary", reason="")
        assert switches.snapshot(tx).clusters["primary"] == draining
        assert switches.cluster_state(tx, "primary") is clusters.ClusterState.DRAINING


def test_an_active_cluster_that_the_topic_left_is_forgotten(store: Database) -> None:
    with store.write() as tx:
        estates.put_topic(tx, TOPIC)
        switches.activate(tx, TOPIC.ident, cluster="primary", reason="")
        switches.drop_stale(tx, TOPIC)
        assert switches.snapshot(tx).topics[TOPIC.ident].active_cluster == "primary"
        switches.drop_stale(tx, replace(TOPIC, epochs=TOPIC.epochs[:1]))
        assert not switches.snapshot(tx).topics[TOPIC.ident].active_cluster


def test_one_is_told_as_the_snapshot_tells_it(store: Database) -> None:
    with store.write() as tx:
        estates.put_cluster(tx, CLUSTER)
        estates.put_topic(tx, TOPIC)
        for switch in (
            lambda: None,
            lambda: switches.cordon(tx, "primary", reason=""),
            lambda: switches.activate(tx, TOPIC.ident, cluster="primary", reason=""),
        ):
            switch()
            snapshot = switches.snapshot(tx)
            assert switches.topic(tx, TOPIC.ident) == snapshot.topics[TOPIC.ident]
            state = switches.cluster_state(tx, "primary")
            assert state is snapshot.clusters["primary"].state
        assert switches.topic(tx, "test/none") is None
        assert switches.cluster_state(tx, "none") is None


def test_a_plan_remembers_how_far_it_came(store: Database) -> None:
    planned = [
        changes.RegisterCluster(new=CLUSTER),
        changes.CreateTopic(ident=TOPIC.ident, placement=TOPIC.current.placements[0]),
        changes.DeclareTopic(new=TOPIC),
    ]
    with store.write() as tx:
        accepted = plans.accept(tx, digest="d", who="me", planned=planned)
        plans.mark(tx, accepted.id, 0, status=Status.DONE)
        plans.mark(tx, accepted.id, 1, status=Status.FAILED, error="no")
    with store.read() as tx:
        (left,) = plans.pending(tx)
        assert [step.change for step in left.changes] == planned
        assert [step.status for step in left.changes] == ["done", "failed", "pending"]
        assert plans.count_pending(tx) == 1
    with store.write() as tx:
        plans.finish(tx, accepted.id)
        assert not plans.pending(tx)


def test_the_audit_lists_the_newest_first_and_pages(store: Database) -> None:
    with store.write() as tx:
        for number in range(5):
            audit.append(tx, who="me", what="do", subject=f"s{number % 2}", after={"n": number})
    with store.read() as tx:
        newest = audit.entries(tx, limit=2)
        assert [entry.after for entry in newest] == ['{"n": 4}', '{"n": 3}']
        older = audit.entries(tx, before_id=newest[-1].id)
        assert [entry.after for entry in older] == ['{"n": 2}', '{"n": 1}', '{"n": 0}']
        assert len(audit.entries(tx, subject="s1")) == 2


@pytest.mark.parametrize("statement", ["DELETE FROM audit", "UPDATE audit SET who = 'x'"])
def test_the_database_refuses_to_change_the_audit(store: Database, statement: str) -> None:
    with store.write() as tx:
        audit.append(tx, who="me", what="do", subject="s")
    with pytest.raises(RemoteError, match="append-only"), store.write() as tx:
        tx.execute(text(statement))
    with store.read() as tx:
        assert [entry.who for entry in audit.entries(tx)] == ["me"]


def test_a_lease_has_one_holder_until_it_expires(store: Database, wait_until) -> None:
    def take(me: str, seconds: float) -> bool:
        with store.write() as tx:
            return leases.take(tx, leases.LEADER, me=me, seconds=seconds)

    assert take("a", 60)
    assert not take("b", 60)
    assert take("a", 0.2)
    wait_until(lambda: take("b", 60), message="the lease of a to expire")
    assert not take("a", 60)
    with store.write() as tx:
        leases.release(tx, leases.LEADER, me="a")
        assert leases.holder(tx, leases.LEADER) == "b"
        leases.release(tx, leases.LEADER, me="b")
        assert not leases.holder(tx, leases.LEADER)


def test_of_many_who_want_a_lease_one_gets_it(store: Database) -> None:
    winners = []

    def try_take(me: str) -> None:
        with store.write() as tx:
            if leases.take(tx, leases.APPLY, me=me, seconds=60):
                winners.append(me)

    threads = [threading.Thread(target=try_take, args=(f"p{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1


def test_clients_are_listed_until_they_are_silent_for_long(store: Database, wait_until) -> None:
    report = Report(service="billing", instance="i1", version=7, topics=("orders",))
    with store.write() as tx:
        clients.record(tx, [report], forget_after_s=60)
        clients.record(tx, [replace(report, version=8)], forget_after_s=60)
        assert [seen.report.version for seen in clients.seen(tx)] == [8]

    def is_forgotten() -> bool:
        with store.write() as tx:
            clients.record(tx, [], forget_after_s=0.01)
            return not clients.seen(tx)

    wait_until(is_forgotten)


def test_health_and_drift_replace_what_was_seen_before(store: Database) -> None:
    with store.write() as tx:
        assert health.drifted(tx) == 0
        health.record(tx, [ClusterHealth(name="a", reachable=False, error="x")], drifted=3)
        health.record(tx, [ClusterHealth(name="b", reachable=True, brokers=3)], drifted=1)
    with store.read() as tx:
        ((seen, at_ms),) = health.clusters(tx)
        assert seen == ClusterHealth(name="b", reachable=True, brokers=3)
        assert at_ms > 0
        assert health.drifted(tx) == 1


def test_the_oldest_remembered_policy_wins(store: Database) -> None:
    first = Emptying(cluster="a", topic="t", cleanup_policy=None)
    with store.write() as tx:
        emptyings.begin(tx, first)
        emptyings.begin(tx, replace(first, cleanup_policy="compact,delete"))
        assert emptyings.unfinished(tx) == [first]
        emptyings.end(tx, first)
        assert not emptyings.unfinished(tx)


def test_the_migrations_make_what_the_code_expects(store_url: str) -> None:
    open_store(store_url).close()
    engine = create_engine(store_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
    engine.dispose()


def test_an_older_store_is_migrated_with_what_it_holds(store_url: str) -> None:
    engine = create_engine(store_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        migrating.migrate(connection, to="0001")
        audit.append(connection, who="old", what="do", subject="s")
    engine.dispose()
    database = open_store(store_url)
    with database.read() as tx:
        assert [entry.who for entry in audit.entries(tx)] == ["old"]
    with pytest.raises(RemoteError, match="append-only"), database.write() as tx:
        tx.execute(text("DELETE FROM audit"))
    database.close()


def test_a_migrations_file_is_named_by_its_revision() -> None:
    scripts = list(ScriptDirectory(str(schema.MIGRATIONS)).walk_revisions())
    named = {script.revision: Path(script.path).name.partition("_")[0] for script in scripts}
    assert len(named) == len(list(schema.MIGRATIONS.glob("versions/[0-9]*.py")))
    assert all(revision == name for revision, name in named.items())
    assert scripts[0].revision == max(named)


def test_a_store_of_this_version_opens_without_the_migrations(store_url: str) -> None:
    open_store(store_url).close()
    code = (
        "import sys\n"
        "from penstock.control.store.opening import open_store\n"
        "open_store(sys.argv[1]).close()\n"
        "print([name for name in sys.modules if name.startswith('alembic')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, store_url], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_newer_store_is_refused_and_left_alone(store_url: str) -> None:
    database = open_store(store_url)
    with database.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(ConfigError, match=r"newer Penstock.*9999.*upgrade"):
        open_store(store_url)


def test_a_damaged_store_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"this is no database" * 1_000)
    with pytest.raises(RemoteError, match=r"damaged.*backup"):
        open_store(f"sqlite:///{path}")


def test_a_locked_store_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    open_store(f"sqlite:///{path}").close()
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(NotReady, match=r"busy.*try again"):
        open_store(f"sqlite:///{path}", busy_timeout_ms=50)
    other.close()


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    database = open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")

    def fill() -> None:
        with database.write() as tx:
            # SQLite then says what it says of a full disk.
            tx.execute(text("PRAGMA max_page_count = 1"))
            for number in range(2_000):
                audit.append(tx, who="x" * 1_000, what="do", subject=str(number))

    with pytest.raises(NotReady, match="free disk space"):
        fill()
    database.close()


def test_a_database_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises(NotReady, match="does not answer"):
        open_store("postgresql://nobody@127.0.0.1:1/none")


@pytest.mark.parametrize("url", ["mysql://localhost/x", "not a url"])
def test_a_url_that_is_none_of_ours_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="sqlite"):
        open_store(url)
