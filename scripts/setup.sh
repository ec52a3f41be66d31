#!/bin/bash
# Installs what is missing: a C++ compiler, Python's venv, OpenCL for CPUs and hardware simulators through apt,
# Python packages into .venv.
# Quick when there is nothing to do. Needs Rust (rustup), Python 3.11+ and make to be there.
set -euo pipefail
cd "$(dirname "$0")/.."
stamp=.venv/.stamp
inputs=(scripts/setup.sh bindings-py/pyproject.toml bindings-py/constraints.txt)

fail() { echo "setup: $*" >&2; exit 1; }

apt_install() {
    command -v apt-get >/dev/null || fail "expected packages $*, got no apt-get; install them by hand"
    local prefix=()
    if [ "$(id -u)" -ne 0 ]; then
        # No terminal, no password: print the line instead of waiting for one.
        if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
            prefix=(sudo)
        else
            fail "expected packages $*, got no right to install them; run: sudo apt-get install -y $*"
        fi
    fi
    "${prefix[@]}" apt-get update -qq || true # a stale list may still do
    DEBIAN_FRONTEND=noninteractive "${prefix[@]}" apt-get install -y -qq --no-install-recommends "$@" </dev/null \
        || fail "apt-get failed; run: sudo apt-get install -y $*"
}

# 1. Rust. rust-toolchain.toml names the components; rustup fetches them on first use.
command -v cargo >/dev/null || fail "expected cargo, got none; install Rust from https://rustup.rs"
for tool in fmt clippy; do
    cargo "$tool" --version >/dev/null 2>&1 || rustup component add "${tool/fmt/rustfmt}" \
        || fail "expected cargo $tool, got none; run: rustup component add rustfmt clippy"
done

# 2. Python 3.11 or newer.
python=
for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || fail "expected Python 3.11 or newer, got $(python3 --version 2>&1); install one"

# 3. System packages, only the missing ones. The last three simulate and prove the FPGA core.
missing=()
{ command -v cc && command -v c++; } >/dev/null || missing+=(build-essential)
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    missing+=("python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv")
fi
for tool in verilator yosys z3; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
# OpenCL: the loader, and PoCL, which the tests run on. A vendor's driver beside it does no harm.
libraries=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p)
[[ $libraries == *libOpenCL.so.1* ]] || missing+=(ocl-icd-libopencl1)
[[ $libraries == *libpocl.so* ]] || missing+=(pocl-opencl-icd)
# AMD's driver, for a test without a card. Only Debian and its relatives have a package; the test says so elsewhere.
if [[ $libraries != *libxrt_coreutil.so.2* ]] && apt-cache show libxrt1 >/dev/null 2>&1; then
    missing+=(libxrt1)
fi
[ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"

# 4. Python packages: the names from pyproject.toml, the versions from constraints.txt.
fresh=yes
for input in "${inputs[@]}"; do
    [ "$stamp" -nt "$input" ] || fresh=
done
if [ -z "$fresh" ] || ! .venv/bin/python -c '' 2>/dev/null; then
    .venv/bin/python -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear .venv
    .venv/bin/python - <<'PY' >.venv/requirements.txt
import tomllib

project = tomllib.load(open("bindings-py/pyproject.toml", "rb"))["project"]
extras = project["optional-dependencies"]
print("\n".join(project["dependencies"] + extras["demo"] + extras["dev"]))
PY
    echo "setup: installing Python packages into .venv"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        -r .venv/requirements.txt -c bindings-py/constraints.txt
    touch "$stamp"
fi
