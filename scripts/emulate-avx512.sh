#!/bin/bash
# Runs the unit test of the seed generator and the short conformance suite on an emulated processor with AVX-512 IFMA, for
# machines without one. Debian: installs Bochs and what makes a bootable image, and fetches a Linux kernel.
#   scripts/emulate-avx512.sh [SECONDS, 3600]
# Says nothing about speed. A failure wants a look at the emulator too: under Bochs 2.7 four unit tests of other kernels
# fail that pass on processors with AVX2 (two of them name that device), for a reason not found; their instructions
# one by one gave the right words.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=${1:-3600}
work=$PWD/out/emulated
mkdir -p "$work"

fail() { echo "emulate-avx512: $*" >&2; exit 1; }

packages=(bochs bochs-term bochsbios vgabios isolinux syslinux-common xorriso cpio busybox-static)
if ! dpkg -s "${packages[@]}" >/dev/null 2>&1; then
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null \
        || fail "expected Debian and the right to install packages; install ${packages[*]}"
fi
if ! compgen -G "$work/kernel/boot/vmlinuz-*" >/dev/null; then
    image=$(apt-cache search --names-only '^linux-image-[0-9.-]+-cloud-amd64-unsigned$' | awk '{print $1}' | sort -V | tail -1)
    [ -n "$image" ] || fail "expected a package linux-image-...-cloud-amd64-unsigned, got none"
    (cd "$work" && apt-get download "$image" && dpkg-deb -x "$image"_*.deb kernel && rm "$image"_*.deb)
fi

# Programs with their libraries, and what runs first.
root=$work/root
rm -rf "$root" "$work/iso"
mkdir -p "$root"/{bin,proc,sys,dev,tmp,tests} "$work/iso/isolinux"
cp /bin/busybox "$root/bin/"
cargo test --locked --release -p ringloom-ntt --features testing --lib --test conformance --no-run --message-format=json \
    | .venv/bin/python -c '
import json, sys
for line in sys.stdin:
    artifact = json.loads(line)
    if artifact.get("executable"):
        print(artifact["target"]["name"], artifact["executable"])' >"$work/programs"
while read -r name program; do
    cp "$program" "$root/tests/$name"
    for library in $(ldd "$program" | grep -o '/[^ ]*'); do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
done <"$work/programs"
cat >"$root/init" <<'E2'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox grep -m1 'model name' /proc/cpuinfo
export RUST_TEST_THREADS=1 RINGLOOM_TEST_DEVICES=cpu-avx512ifma RINGLOOM_TEST_SHORT=1
/bin/busybox grep -q avx512ifma /proc/cpuinfo && /tests/ringloom_ntt cpu::isa::chacha && /tests/conformance
echo "ended with $?"
exec /bin/busybox sleep 1000000
E2
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet) >"$work/iso/isolinux/initrd"
cp "$work"/kernel/boot/vmlinuz-* "$work/iso/isolinux/vmlinuz"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/iso/isolinux/"
# Without the protection keys (515) and compact states (321, 323), whose sizes Bochs 2.7 gives wrong: with them
# the kernel switches vector registers off.
cat >"$work/iso/isolinux/isolinux.cfg" <<'E2'
default tests
label tests
 kernel vmlinuz
 initrd initrd
 append console=ttyS0 rdinit=/init clearcpuid=515,321,323 mitigations=off nokaslr nosmp acpi=off hpet=disable no_timer_check lpj=4000000
E2
xorriso -as mkisofs -quiet -o "$work/tests.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat \
    -no-emul-boot -boot-load-size 4 -boot-info-table "$work/iso" 2>/dev/null

cat >"$work/bochsrc" <<E2
cpu: model=corei3_cnl, count=1, ips=50000000, reset_on_triple_fault=0
memory: guest=2048, host=2048
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
boot: cdrom
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=$work/tests.iso, status=inserted
com1: enabled=1, mode=file, dev=$work/console
display_library: term
clock: sync=none
log: $work/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
E2
echo c >"$work/debugger" # Debian's Bochs starts in its debugger
rm -f "$work/console"
TERM=linux setsid script -qec "exec bochs -q -f $work/bochsrc -rc $work/debugger" /dev/null </dev/null >/dev/null 2>&1 &
bochs=$!
trap 'pkill -KILL -g "$bochs" || true; pkill -KILL -f "$work/bochsrc" || true' EXIT
touch "$work/console"
shown=0
for ((waited = 0; waited < limit; waited += 5)); do
    sleep 5
    sed -n '/^model name/,$p' "$work/console" | tr -d '\r' >"$work/output"
    lines=$(wc -l <"$work/output")
    sed -n "$((shown + 1)),${lines}p" "$work/output"
    shown=$lines
    if grep -q '^ended with' "$work/output"; then
        grep -q '^ended with 0$' "$work/output" || fail "$(tail -1 "$work/output")"
        echo "emulate-avx512: passed"
        exit 0
    fi
    kill -0 "$bochs" 2>/dev/null || fail "Bochs ended by itself; its log is $work/bochs.log"
done
fail "not done after $limit seconds"
