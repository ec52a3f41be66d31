#!/bin/bash
# Python: tests, types, and stubs against the built extension.
set -euo pipefail
cd "$(dirname "$0")/../bindings-py"
python=../.venv/bin/python
"$python" -m pytest
"$python" -m mypy python
"$python" -m mypy.stubtest ringloom --ignore-missing-stub --allowlist tests/stubtest-allow.txt \
    --mypy-config-file pyproject.toml
