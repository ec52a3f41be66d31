#!/bin/bash
# Installs the Python peers into .venv-peers, each into an environment of its own (no Python runs
# both), builds those in Rust, and runs ours and theirs interleaved. A missing peer is named, never counted.
#   scripts/bench-peers.sh [id patterns and options of `ringloom-bench run`]
set -euo pipefail
cd "$(dirname "$0")/.."

# Prints the first interpreter whose version is in the range: asked by running it.
interpreter() { # from, to (exclusive), candidates
    local from=$1 to=$2
    shift 2
    local check="import sys; sys.exit(not ($from <= sys.version_info[:2] < $to))"
    for candidate in "$@"; do
        if "$candidate" -c "$check" 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
}

install() { # peer, packages, interpreter, what to import
    local peer=$1 package=$2 python=$3 folder=.venv-peers/$1 modules=${4:-$1}
    if [ -z "$python" ]; then
        echo "bench-peers: $peer: no Python for $package: not run here"
        return
    fi
    [ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
    "$folder/bin/python" -c "import $modules" 2>/dev/null \
        || "$folder/bin/python" -m pip install --quiet --disable-pip-version-check $package \
        || echo "bench-peers: $peer: $package is not installed: not run here"
}

# In the clear, with the numpy that the library is tested with.
[ -e .venv-peers/numpy ] || { mkdir -p .venv-peers && ln -s ../.venv .venv-peers/numpy; }

pyenv=$(pyenv root 2>/dev/null || echo "$HOME/.pyenv")
# The wheel calls itself py3-none-any and holds a module for CPython 3.10.
install openfhe openfhe==1.5.1.0.22.4 \
    "$(interpreter '(3, 10)' '(3, 11)' python3.10 python3 "$pyenv"/versions/3.10.*/bin/python)"
# Its extension does not load before OpenFHE's.
install openfhe_numpy "openfhe==1.5.1.0.22.4 openfhe-numpy==1.5.1.0.0.22.4" \
    "$(interpreter '(3, 10)' '(3, 11)' python3.10 python3 "$pyenv"/versions/3.10.*/bin/python)" \
    openfhe,openfhe_numpy
install tenseal tenseal==0.3.18 \
    "$(interpreter '(3, 11)' '(3, 15)' python3 python3.{11,12,13,14} .venv/bin/python)"

# A program of its own, with the flags that tfhe-rs's documentation asks for. Minutes the first time.
RUSTFLAGS="-C target-cpu=native" cargo install --quiet --locked --force --no-track \
    --path benches/peers/tfhe-rs --root .venv-peers/tfhe-rs --target-dir target/peers \
    || echo "bench-peers: tfhe-rs: its program does not build: not run here"

# tfhe-ntt without vector instructions: a copy with its code for x86 configured out.
scalar=target/peers/tfhe-ntt
manifest=$(cargo metadata --locked --format-version 1 --all-features \
    | .venv/bin/python -c 'import json, sys; print(*(p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "tfhe-ntt"))')
rm -rf "$scalar"
mkdir -p "$scalar"
cp -r "$(dirname "$manifest")"/{Cargo.toml,src} "$scalar"
sed -i 's/any(target_arch = "x86", target_arch = "x86_64")/any()/' "$scalar"/src/*.rs "$scalar"/src/*/*.rs
cargo install --quiet --locked --force --no-track \
    --path benches/peers/tfhe-ntt-scalar --root .venv-peers/tfhe-ntt-scalar --target-dir target/peers \
    || echo "bench-peers: tfhe-ntt-scalar: its program does not build: not run here"

if [ $# -eq 0 ]; then
    set -- 'ring/*' 'ckks/*' 'matrix/*' 'tfhe/*' 'model/digits_quantised/*' --json out/peers.json
fi
exec cargo run --locked --release -p ringloom-bench --features peers -- run --peers "$@"
