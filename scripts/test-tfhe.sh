#!/bin/bash
# The exchange of ciphertexts against a live process of tfhe-rs, in its published build for Node.js.
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.7.0
folder=.venv-peers/node-tfhe
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "test-tfhe: expected node and npm, got none: not run here" >&2
    exit 1
fi
mkdir -p "$folder"
[ -e "$folder/package.json" ] || echo '{ "private": true }' >"$folder/package.json"
[ -e "$folder/node_modules/node-tfhe" ] \
    || npm install --prefix "$folder" --no-audit --no-fund --silent "node-tfhe@$version"
export RINGLOOM_TFHE_RS="$PWD/benches/peers/tfhe_rs_node.cjs"
cargo test --locked -p ringloom --features tfhe-rs --test tfhe -- --ignored --nocapture live_process_of_tfhe_rs
.venv/bin/python -m pytest bindings-py/tests/test_tfhe_rs.py -c bindings-py/pyproject.toml -k live
