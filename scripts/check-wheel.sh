#!/bin/bash
# Builds the wheel, installs it into an empty virtual environment, runs the README's Python lines
# there, away from the sources.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd bindings-py && "$root/.venv/bin/maturin" build --release --locked --quiet --interpreter "$root/.venv/bin/python" --out "$work/wheels")
wheel=$(ls "$work"/wheels/ringloom-*-abi3-*.whl)
"$root/.venv/bin/python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    -c bindings-py/constraints.txt "$wheel"
"$root/.venv/bin/python" scripts/readme_block.py python >"$work/readme.py"
cd "$work"
"$work/venv/bin/python" readme.py
"$work/venv/bin/python" - <<'PY'
from importlib.metadata import files

names = {str(f).rsplit("/", 1)[-1] for f in files("ringloom")}
for need in ("py.typed", "LICENSE-APACHE", "LICENSE-MIT"):
    assert need in names, f"wheel: expected {need}, got {sorted(names)}"
PY
echo "wheel: $(basename "$wheel"): built, installed into an empty environment, README lines run"
