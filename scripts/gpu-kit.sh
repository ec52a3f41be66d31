#!/bin/bash
# Builds out/gpu-kit: what a GPU machine without Rust, Python or network needs to check and time the
# OpenCL device. Kernels are inside the binaries; the C library they were linked against, its loader
# and the OpenCL loader travel with them, so that an older system runs them, too.
set -euo pipefail
cd "$(dirname "$0")/.."
kit=out/gpu-kit

cargo build --locked --release -p ringloom-ntt --features ringloom-ntt/testing,ringloom-ntt/opencl \
    --example opencl_kit --example opencl_timing --example opencl_tfhe
rm -rf "$kit"
mkdir -p "$kit/bin" "$kit/lib"
cp target/release/examples/opencl_{kit,timing,tfhe} "$kit/bin/"
strip "$kit"/bin/*

loader=$(ldd "$kit/bin/opencl_kit" | awk '/ld-linux/ { print $1 }')
[ -e "$loader" ] || { echo "gpu-kit: expected a dynamic loader of Linux, got '$loader'; build on Linux with glibc" >&2; exit 1; }
cp -L "$loader" "$kit/lib/ld.so"
# Also those that drivers open: a process has one C library, and it is this one.
opencl=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p | awk '/libOpenCL\.so\.1 / && !seen { print $NF; seen = 1 }')
[ -n "$opencl" ] || { echo "gpu-kit: expected libOpenCL.so.1, got none; run: make setup" >&2; exit 1; }
cp -L "$opencl" "$kit/lib/libOpenCL.so.1"
folder=$(dirname "$(ldd "$kit/bin/opencl_kit" | awk '/libc\.so\.6/ { print $3 }')")
for name in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libgcc_s.so.1; do
    cp -L "$folder/$name" "$kit/lib/"
done
cp scripts/gpu-kit/run.sh scripts/gpu-kit/README.md "$kit/"
git describe --always --dirty >"$kit/COMMIT"
tar -C out -czf out/gpu-kit.tar.gz gpu-kit
du -sh "$kit" out/gpu-kit.tar.gz
