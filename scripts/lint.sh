#!/bin/bash
# Everything that reads the sources and changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --all --check
# In no workspace.
rustfmt --check --edition 2024 benches/peers/*/src/main.rs benches/peers/*/examples/*.rs
# Named features, never --all-features: a device that is absent here would not build.
RINGLOOM_CHECK_ONLY=1 cargo clippy --locked --workspace --all-targets --features ringloom-ntt/testing,ringloom/opencl,ringloom/tfhe-rs,ringloom-fpga/rtl -- -D warnings
python=.venv/bin/python
"$python" scripts/test_check_imports.py --quiet
"$python" scripts/check_imports.py
"$python" scripts/test_check_references.py --quiet
"$python" scripts/check_references.py
"$python" fpga/vitis/test_collect.py --quiet
"$python" fpga/test_report.py --quiet
# Known answers are what their generator writes.
answers=$(mktemp -d)
trap 'rm -rf "$answers"' EXIT
"$python" ntt-kernels/tests/data/generate_ntt.py "$answers"
for file in "$answers"/*.json; do
    cmp "$file" "ntt-kernels/tests/data/$(basename "$file")"
done
ruff=("$python" -m ruff)
folders=(bindings-py examples/python scripts ntt-kernels/tests/data benches fpga)
"${ruff[@]}" check --quiet --config bindings-py/pyproject.toml "${folders[@]}"
"${ruff[@]}" format --quiet --check --config bindings-py/pyproject.toml "${folders[@]}"

.venv/bin/typos

# Not on every machine: say so rather than pass in silence.
if cargo deny --version >/dev/null 2>&1; then
    cargo deny --locked check licenses bans sources
else
    echo "lint: cargo-deny: not run here (install it with: cargo install cargo-deny)"
fi
