#!/bin/bash
# Compiles the programs of the OpenCL device for NVIDIA's GPUs, without one, and prints registers, local memory and
# instructions of each kernel: Clang and libclc (Debian packages) to PTX, NVIDIA's assembler (Python packages in
# out/ptx/tools) to machine code for sm_80 and sm_90. What that says and what not: docs/notes/opencl.md.
#   scripts/check-ptx.sh
set -euo pipefail
cd "$(dirname "$0")/.."
work=$PWD/out/ptx
tools=$work/tools

fail() { echo "check-ptx: $*" >&2; exit 1; }

. scripts/clang-for-ptx.sh
if ! compgen -G "$tools/lib/python*/site-packages/nvidia/*/bin/nvdisasm" >/dev/null; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check \
        nvidia-cuda-nvcc-cu12==12.9.86 nvidia-cuda-nvdisasm==13.5.37
fi
tool() {
    local found
    found=$(find "$tools" -path "*/bin/$1" | head -1)
    [ -n "$found" ] || fail "expected $1 in $tools, got none"
    echo "$found"
}
ptxas=$(tool ptxas)
nvdisasm=$(tool nvdisasm)

rm -rf "$work/texts" "$work/made"
RINGLOOM_PROGRAMS=$work/texts cargo test --locked --quiet -p ringloom-ntt --features testing,opencl --lib \
    opencl::tests::texts >/dev/null || fail "the device's tests did not write its programs"
python3 scripts/ptx_report.py "$work/texts" --out "$work/made" --clang "$RINGLOOM_CLANG" \
    --libclc "$RINGLOOM_LIBCLC" --ptxas "$ptxas" --nvdisasm "$nvdisasm"
