#!/usr/bin/env bash
# Pins every dependency with hashes. Run at release time or when pyproject.toml changes; needs uv.
set -euo pipefail
cd "$(dirname "$0")/.."
export UV_CUSTOM_COMPILE_COMMAND="tools/compile_requirements.sh"
compile() { uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links "$@"; }
compile requirements/bootstrap.in -o requirements/bootstrap.txt
compile pyproject.toml --group dev --all-extras -o requirements/dev.txt
# What the tests of the copy to Snowflake talk to, in an environment of its own.
compile requirements/fakesnow.in -o requirements/fakesnow.txt
# What a command installs when it is asked for; subsets of the dev set, at the same versions.
for extra in demo postgres snowflake spark; do
  compile pyproject.toml --extra "$extra" -c requirements/dev.txt -o "requirements/$extra.txt"
done
# The run set is a subset of the dev set, at the same versions.
compile pyproject.toml --extra platform --extra ingest --group build -c requirements/dev.txt -o requirements/run.txt
