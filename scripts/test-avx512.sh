#!/bin/bash
# The kernels for AVX-512 over a model of its instructions, for machines that have AVX2 only: unit tests and the
# conformance suite. Shows what the kernels compute, not how fast.
#   scripts/test-avx512.sh [--short]    the short suite alone, and nothing where the processor has the instructions
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --short ]; then
    has() { grep -qw "$1" /proc/cpuinfo 2>/dev/null; }
    if has avx512ifma && has avx512vbmi; then
        echo "test-avx512: the processor has AVX-512 IFMA; the other tests run its kernels"
        exit
    fi
    if ! has avx2; then
        echo "test-avx512: not run here: the model needs AVX2"
        exit
    fi
    export RINGLOOM_TEST_SHORT=1
fi
# Flags of their own, so that the model never gets into other builds.
export CARGO_TARGET_DIR=target/modelled RUSTFLAGS="--cfg modelled_avx512"
export RINGLOOM_TEST_DEVICES=cpu-avx512ifma
test=(cargo test --locked --release -p ringloom-ntt --features testing)
if [ -z "${RINGLOOM_TEST_SHORT:-}" ]; then
    "${test[@]}" --quiet --lib cpu::
fi
"${test[@]}" --test conformance
