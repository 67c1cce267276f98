"""Make every generated file anew: gRPC stubs, JSON Schemas for editors, reference pages.

``--check`` writes nothing and exits 1 naming what is stale; the arch tests run it.
"""

from __future__ import annotations

import filecmp
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

import reference
from penstock.control.declare.schema import all_schemas

ROOT = Path(__file__).resolve().parent.parent
STUBS = ROOT / "src/penstock/api/_gen"


def generate_stubs(target: Path) -> None:
    """Write the protobuf and gRPC modules of ``proto/`` below ``target``."""
    well_known = str(files("grpc_tools") / "_proto")
    spec = importlib.util.find_spec("google.api")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("googleapis-common-protos is not installed; run make install")
    google = str(Path(next(iter(spec.submodule_search_locations))).parents[1])
    proto_root = ROOT / "proto"
    arguments = [
        "protoc",
        f"-I{proto_root}",
        f"-I{well_known}",
        f"-I{google}",
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet:{target}",
        *[str(p.relative_to(proto_root)) for p in sorted(proto_root.rglob("*.proto"))],
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")
    _make_relative(target)


def _make_relative(target: Path) -> None:
    """Move ``penstock/v1/*`` up to ``target`` and import it relatively.

    protoc writes absolute imports of the proto's own package, which would shadow ``penstock``.
    """
    package = target / "penstock/v1"
    for path in sorted(package.iterdir()):
        text = path.read_text()
        text = text.replace("from penstock.v1 import", "from penstock.api._gen import")
        text = text.replace(
            "import penstock.v1.penstock_pb2", "import penstock.api._gen.penstock_pb2"
        )
        text = text.replace("penstock.v1.penstock_pb2.", "penstock.api._gen.penstock_pb2.")
        (target / path.name).write_text(text)
        path.unlink()
    package.rmdir()
    package.parent.rmdir()
    (target / "__init__.py").write_text('"""Generated from proto/ by tools/generate.py."""\n')


def generate_schemas(target: Path) -> None:
    """Write the JSON Schemas of estate documents below ``target``."""
    for name, schema in all_schemas().items():
        (target / name).write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")


TARGETS: dict[Path, Callable[[Path], None]] = {
    STUBS: generate_stubs,
    ROOT / "schemas": generate_schemas,
    reference.PAGES: reference.generate_pages,
}
"""What is generated where; each function writes all its files into the directory it is given."""


def find_stale(target: Path, generate: Callable[[Path], None]) -> list[Path]:
    """Return the files that would be written anew."""
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        names = sorted(p.name for p in Path(scratch).iterdir())
        _, stale, missing = filecmp.cmpfiles(scratch, target, names, shallow=False)
    return [target / name for name in [*stale, *missing]]


def main() -> int:
    """Generate, or with ``--check`` compare."""
    if "--check" not in sys.argv:
        for target, generate in TARGETS.items():
            target.mkdir(parents=True, exist_ok=True)
            generate(target)
        return 0
    stale = [path for target, make in TARGETS.items() for path in find_stale(target, make)]
    for path in stale:
        print(f"{path.relative_to(ROOT)} is stale; run make generate")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
