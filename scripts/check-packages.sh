#!/bin/bash
# Packages the publishable crates, unpacks them, and runs the README's Rust lines in a crate outside
# the workspace that depends on nothing but those packages, with default features.
set -euo pipefail
cd "$(dirname "$0")/.."
crates=(ringloom-ntt ringloom-fpga ringloom)
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TARGET_DIR=$PWD/target

# The build outside the workspace below is the verification, so cargo's own is skipped.
cargo package --locked --allow-dirty --no-verify --quiet "${crates[@]/#/--package=}"

mkdir -p "$work/outside/src"
for crate in "${crates[@]}"; do
    tar -xzf "target/package/$crate-$version.crate" -C "$work"
    for file in LICENSE-APACHE LICENSE-MIT README.md; do
        [ -s "$work/$crate-$version/$file" ] \
            || { echo "package: expected $file in $crate, got none" >&2; exit 1; }
    done
done
{
    printf '[package]\nname = "outside"\nversion = "0.0.0"\nedition = "2024"\n\n[dependencies]\n'
    printf '%s = "'"$version"'"\n' "${crates[@]}"
    printf '\n[patch.crates-io]\n'
    for crate in "${crates[@]}"; do
        printf '%s = { path = "%s/%s-%s" }\n' "$crate" "$work" "$crate" "$version"
    done
    # The same profile and folder as the workspace: dependencies are built once. What is packaged is
    # built without optimisation, for it runs once.
    printf '\n'
    sed -n '/^\[profile.dev\]/,/^$/p' Cargo.toml
    printf '[profile.dev.package.%s]\nopt-level = 0\n' "${crates[@]}"
} >"$work/outside/Cargo.toml"
cp Cargo.lock "$work/outside/"
python3=.venv/bin/python
"$python3" scripts/readme_block.py rust >"$work/outside/src/main.rs"
cargo run --quiet --manifest-path "$work/outside/Cargo.toml"
echo "package: ${crates[*]} $version: packaged, built and run outside the workspace"
