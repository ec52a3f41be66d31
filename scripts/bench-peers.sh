#!/bin/bash
# Installs the Python peers into .venv-peers (a missing one is named, never counted) and runs ours
# and theirs interleaved.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv-peers/bin/python ] || "$(readlink -f .venv/bin/python)" -m venv .venv-peers
python=.venv-peers/bin/python
for peer in openfhe==1.5.1.0.22.4 tenseal==0.3.18; do
    "$python" -m pip install --quiet --disable-pip-version-check "$peer" \
        || echo "bench-peers: $peer: not installed, so not run here"
done
# A wheel may install and still carry a module for another Python: ask by running it.
for module in openfhe tenseal; do
    "$python" -c "import $module" 2>/dev/null \
        || echo "bench-peers: $module does not import on $("$python" --version): not run here"
done
exec cargo run --locked --release -p ringloom-bench -- run '*' --peers "$python" --json out/peers.json
