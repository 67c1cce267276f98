"""The documentation's commands, pasted in the order in which they stand."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.platforms import QUICKSTART, ROOT, Platform, running

from penstock.kafka.admin import Admin
from penstock.runtime import postgres, processes
from penstock.testing.plugin import WaitUntil

pytestmark = [pytest.mark.docs, pytest.mark.real]

BLOCK = re.compile(r"^ *```(bash|python)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
NOT_PASTED = ("make ", "export PATH=")
EXITS = re.compile(r"^(penstock .*)# exits (\d).*$", re.MULTILINE)
LOOKS = re.compile(r"^(penstock (?:plan|drift)\b[^#\n]*)$", re.MULTILINE)
# That there are changes is an exit code, and no failure of the page.
CHANGES = r"\1 || test $? = 2"


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running(tmp_path_factory.mktemp("docs") / "home") as platform:
        yield platform


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(QUICKSTART, tmp_path / "examples/quickstart")
    return tmp_path


def paste(page: str, *, platform: Platform, folder: Path, replace: dict[str, str]) -> None:
    """Run every block of the page, one after the other, in one folder."""
    blocks = BLOCK.findall((ROOT / page).read_text())
    assert blocks, f"{page} has no block to paste"
    for language, indented in blocks:
        lines = [line for line in indented.splitlines() if not line.strip().startswith(NOT_PASTED)]
        margin = min((len(x) - len(x.lstrip()) for x in lines if x.strip()), default=0)
        text = "\n".join(line[margin:] for line in lines)
        for old, new in replace.items():
            text = text.replace(old, new)
        text = LOOKS.sub(CHANGES, text)
        text = EXITS.sub(r"code=0; \1 || code=$?; test $code = \2", text)
        program = ["bash", "-euo", "pipefail", "-c"] if language == "bash" else ["python", "-c"]
        result = subprocess.run(
            [*program, text],
            cwd=folder,
            env={**platform.environment, "PENSTOCK_YES": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert result.returncode == 0, f"{page}\n{text}\n{result.stdout}\n{result.stderr}"


@pytest.mark.parametrize(
    "page",
    [
        "docs/tutorial/first-federation.md",
        "docs/how-to/ask-the-control-plane.md",
        "docs/how-to/cordon-a-cluster.md",
        "docs/how-to/drill-a-cluster-loss.md",
        "docs/how-to/land-a-topic-in-a-table.md",
    ],
)
def test_a_page_works_when_pasted(page: str, quickstart: Platform, folder: Path) -> None:
    paste(page, platform=quickstart, folder=folder, replace={})


def test_onboarding_an_event_topic_works_when_pasted(
    tmp_path_factory: pytest.TempPathFactory, folder: Path
) -> None:
    with running(tmp_path_factory.mktemp("onboard") / "home") as platform:
        paste("docs/how-to/onboard-an-event-topic.md", platform=platform, folder=folder, replace={})


def test_adopting_a_cluster_works_when_pasted(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("adopt")
    with running(folder / "home", "--clusters", "1") as platform:
        address = platform.json("status")["clusters"][0]["bootstrap"]
        for name in ("payments", "refunds"):
            Admin("events-a", address).create_topic(
                name, partitions=3, replication=1, config={"retention.ms": "1000000"}
            )
        paste(
            "docs/how-to/adopt-a-cluster.md",
            platform=platform,
            folder=folder,
            replace={"localhost:9092": address},
        )


def test_the_readmes_topic_and_service_work(
    tmp_path_factory: pytest.TempPathFactory, folder: Path
) -> None:
    readme = (ROOT / "README.md").read_text()
    (topic,) = re.findall(r"^```yaml\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    (service,) = re.findall(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    once = service.replace("consumer.ack(record)", "consumer.ack(record)\n            break")
    assert once != service
    estate = folder / "examples/quickstart"
    (estate / "topics/orders.yaml").write_text(topic)
    with running(tmp_path_factory.mktemp("readme") / "home", str(estate)) as platform:
        result = subprocess.run(
            ["python", "-c", once],
            env=platform.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert result.returncode == 0, result.stderr
    assert "b'customer-7'" in result.stdout


def test_a_postgres_table_is_kept_in_the_lake(folder: Path, wait_until: WaitUntil) -> None:
    """The page's own database is one that this test starts, with a table of a few rows."""
    server = postgres.prepare(folder / "database", durable=False)
    service = postgres.service(folder / "database", server)
    process = processes.spawn(service.spec())
    try:
        wait_until(service.ready)
        with psycopg.connect(server.address(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE shop")
        with psycopg.connect(server.address("shop")) as connection:
            connection.execute("CREATE TABLE orders (id bigint PRIMARY KEY, total numeric(12,2))")
            connection.execute("INSERT INTO orders SELECT n, n / 4.0 FROM generate_series(1, 50) n")
        with running(folder / "home") as platform:
            platform.environment["PGPASSWORD"] = server.password_file.read_text().strip()
            paste(
                "docs/how-to/onboard-a-postgres-table.md",
                platform=platform,
                folder=folder,
                replace={"5432": str(server.port)},
            )
    finally:
        processes.terminate([process], within_s=10, by=signal.SIGINT)
        postgres.remove(folder / "database")
