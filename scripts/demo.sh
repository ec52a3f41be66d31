#!/bin/bash
# The largest honest path there is: see README.md for what it does today.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python examples/python/train_digits.py --out out/digits
device=${DEVICE:-cpu}
# What computes elsewhere answers the same ciphertexts as the CPU, with the same residues.
compare=()
[[ $device == cpu* || $device == auto ]] || compare=(--compare cpu)
exec .venv/bin/python examples/python/demo_digits.py --data out/digits --out out --device "$device" \
    --images "${IMAGES:-200}" --singles "${SINGLES:-3}" "${compare[@]}"
