#!/usr/bin/env bash
# Fuzzes the decoders with libFuzzer on the stable compiler, one target per core at a time. A target
# holds decoders of like things; those with the fewest take half of the time.
#   scripts/fuzz.sh [SECONDS per target, 60] [TARGET...]
# What it learns stays in out/fuzz/corpus; a failing input in out/fuzz/TARGET-crash-... Needs g++.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    for source in fuzz/src/bin/*.rs; do targets+=("$(basename "$source" .rs)"); done
fi
host=$(rustc -vV | sed -n 's/^host: //p')
# An explicit --target keeps build scripts and macros free of the flags.
coverage=(level=4 inline-8bit-counters pc-table trace-compares)
flags=(--cfg fuzzing -Cpasses=sancov-module)
for option in "${coverage[@]}"; do flags+=("-Cllvm-args=-sanitizer-coverage-$option"); done
RUSTFLAGS="${flags[*]}" cargo build --locked --quiet --release --target "$host" \
    --manifest-path fuzz/Cargo.toml --target-dir target/fuzz

# Seeds: every fixture of every version as a frame (even mode byte) and as a body (odd), its upper bits the decoder
# among those of the target. Those of tfhe-rs are as they are, and with masks cut to eight words.
data=core/tests/data
tfhe_rs=core/tests/data/tfhe_rs/serialised
fuzz_one() {
    local target=$1 failed=0 file seconds=$seconds
    local seeds=out/fuzz/seeds/$target corpus=out/fuzz/corpus/$target log=out/fuzz/$target.log
    mkdir -p "$seeds" "$corpus"
    seed() { # decoder, fixture
        local name path
        for path in "$data"/serial-v*/"$2"; do
            name=$1-$(basename "$(dirname "$path")")-$2
            { printf "\\x$(printf %02x $((2 * $1)))"; cat "$path"; } >"$seeds/$name.frame"
            { printf "\\x$(printf %02x $((2 * $1 + 1)))"; tail -c +89 "$path" | head -c -32; } >"$seeds/$name.body"
        done
    }
    part() { dd if="$1" iflag=skip_bytes,count_bytes skip="$2" count="$3" status=none; }
    short() { # blocks, fixture, bytes before the first block; a block is 16 bytes, 2049 words, 92 bytes
        local file=$tfhe_rs/$2 block at
        {
            printf '\x02'
            head -c "$3" "$file"
            for ((block = 0; block < $1; block++)); do
                at=$(($3 + block * 16500))
                part "$file" "$at" 8
                printf '\x09\0\0\0\0\0\0\0'
                part "$file" $((at + 16)) 72
                part "$file" $((at + 16408)) 92
            done
            tail -c 24 "$file"
        } >"$seeds/short-$2"
    }
    case $target in
        params | tfhe_rs) seconds=$(((seconds + 1) / 2)) ;;
    esac
    case $target in
        params)
            seed 0 params.rlp
            for file in "$data"/serial-v1/*; do seed 1 "$(basename "$file")"; done
            ;;
        keys)
            seed 0 seeded_keys.rlk
            seed 1 tfhe_seeded_keys.rlk
            seed 2 public_key.rlk
            seed 3 insecure_secret_key.rls
            seed 4 tfhe_packing_key.rlk
            seed 5 shared_mask_keys.rlk
            ;;
        ciphertexts)
            seed 0 ciphertext.rlc
            seed 1 tfhe_ciphertext.rlc
            seed 2 vectors.rlc
            seed 3 coeff_matrix.rlc
            seed 4 tfhe_fresh_ciphertext.rlc
            for file in "$data"/serial-v1/matrix_*; do seed 5 "$(basename "$file")"; done
            seed 6 shared_mask_matrix.rlc
            seed 7 integers_inputs.rlc
            ;;
        programs)
            seed 0 program.rlp
            seed 1 public_program.rlp
            seed 3 integers_encrypted_network.rlp
            seed 4 integers_network.rlp
            ;;
        tfhe_rs)
            { printf '\x00'; cat $tfhe_rs/fhebool.bin; } >"$seeds/fhebool.bin"
            short 1 fhebool.bin 69
            short 4 fheuint8.bin 77
            { printf '\x04'; cat $tfhe_rs/client_key.bin; } >"$seeds/client_key.bin"
            ;;
    esac
    "target/fuzz/$host/release/$target" "$corpus" "$seeds" -max_total_time="$seconds" \
        -max_len=65536 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 -print_final_stats=1 \
        -verbosity=0 -artifact_prefix="out/fuzz/$target-" >"$log" 2>&1 || failed=$?
    if [ "$failed" != 0 ]; then
        tail -n 40 "$log"
        echo "scripts/fuzz.sh: $target failed, expected no crash, got status $failed; run it on the input in out/fuzz"
        return 1
    fi
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs in $seconds s," \
        "peak $(sed -n 's/^stat::peak_rss_mb: *//p' "$log") MiB"
}
export -f fuzz_one
export data host seconds tfhe_rs
# One target per core at a time; a failure anywhere fails the whole.
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -euo pipefail -c 'fuzz_one {}'
