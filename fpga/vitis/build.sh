#!/bin/bash
# UNTESTED: written from AMD's documentation, never run; no Vitis was at hand.
# Builds an .xclbin of the three kernels:  PLATFORM=<.xpfm> CARD=u280|u55c|v80 [P=8] [W=50|32] [TARGET=hw_emu|hw] vitis/build.sh
set -euo pipefail
cd "$(dirname "$0")"
: "${PLATFORM:?the platform file of the card}" "${CARD:?u280, u55c or v80}"
P=${P:-8} W=${W:-50} TARGET=${TARGET:-hw_emu}
command -v v++ >/dev/null || { echo "build: expected v++ (Vitis), got none; source its settings64.sh" >&2; exit 1; }
out=build/$CARD-w$W-p$P-$TARGET
mkdir -p "$out"
objects=()
for kernel in ringloom_ntt ringloom_eltwise ringloom_gadget; do
    v++ -c -t "$TARGET" --platform "$PLATFORM" -k "$kernel" -I../hls/include -DRINGLOOM_P="$P" -DRINGLOOM_WORD_BITS="$W" \
        --hls.clock 300000000:"$kernel" --temp_dir "$out/$kernel" -o "$out/$kernel.xo" tops.cpp
    objects+=("$out/$kernel.xo")
done
v++ -l -t "$TARGET" --platform "$PLATFORM" --config "$CARD.cfg" --temp_dir "$out/link" \
    -o "$out/ringloom.xclbin" "${objects[@]}"
echo "built $out/ringloom.xclbin; tables of its reports: python fpga/vitis/collect.py fpga/vitis/$out --card $CARD --butterflies $P --width $W --out vitis.json"
