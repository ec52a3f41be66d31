#!/bin/bash
# Runs the tests of the OpenCL device on a model of NVIDIA's GPUs (ptx-model): Clang and libclc (Debian packages)
# compile the programs to PTX, the model runs them and checks every access. What that says and what not:
# docs/notes/opencl.md.
#   scripts/test-ptx.sh
set -euo pipefail
cd "$(dirname "$0")/.."
work=$PWD/out/ptx

fail() { echo "test-ptx: $*" >&2; exit 1; }

. scripts/clang-for-ptx.sh

# With this processor's vectors, since the model works on 32 words at a time.
RUSTFLAGS="-C target-cpu=native" cargo build --locked --quiet --release -p ringloom-ptx-model --target-dir "$work/model"
export OPENCL_DYLIB_PATH=$work/model/release/libringloom_ptx_model.so
export RINGLOOM_PTX_FOLDER=$work/programs RINGLOOM_PTX_COUNTS=$work/counts.jsonl RINGLOOM_NEED_OPENCL=1
# What the device keeps on disk would outlive a change of the model.
export XDG_CACHE_HOME=$work/cache
rm -rf "$RINGLOOM_PTX_COUNTS" "$XDG_CACHE_HOME"
cargo test --locked -p ringloom-ntt --features testing,opencl --lib -- opencl::
RINGLOOM_TEST_SHORT=1 RINGLOOM_TEST_DEVICES=opencl \
    cargo test --locked -p ringloom-ntt --features testing,opencl --test conformance
# The circuit of full size, too.
cargo test --locked -p ringloom-ntt --features testing,opencl --test opencl -- --include-ignored
.venv/bin/python scripts/ptx_counts.py "$RINGLOOM_PTX_COUNTS"
echo "test-ptx: no fault; counts of every kernel: $RINGLOOM_PTX_COUNTS"
