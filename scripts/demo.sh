#!/bin/bash
# The largest honest path there is: see README.md for what it does today.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python examples/python/train_digits.py --out out/digits
exec .venv/bin/python examples/python/demo_digits.py --data out/digits --out out --device "${DEVICE:-cpu}"
