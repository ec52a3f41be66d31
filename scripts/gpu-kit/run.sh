#!/bin/sh
# Checks and times an OpenCL device: ./run.sh [NUMBER [SIZE]], the device's number in the order of the
# runtime (by default the first GPU) and `full` or `small`. Writes result.json and prints a table.
# Exits with 1 when a residue is wrong or something failed.
cd "$(dirname "$0")" || exit 1
number=${1-}
size=${2-full}
here=$PWD

# Where the system's own libraries are, drivers among them.
system=/usr/lib/x86_64-linux-gnu:/lib/x86_64-linux-gnu:/usr/lib64:/lib64:/usr/lib:/usr/local/nvidia/lib64
# A newer system's drivers may need its own C library, an older one has none that the binaries run with.
direct=
libraries=$(ldd "$here/bin/opencl_kit" 2>&1) && [ -z "${OWN_LIBRARIES-}" ] &&
    case $libraries in *"not found"*) ;; *) direct=1 ;; esac
run() {
    program=$1
    shift
    if [ -n "$direct" ]; then
        "$here/bin/$program" "$@"
        return
    fi
    "$here/lib/ld.so" --library-path "$here/lib:${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$system" \
        "$here/bin/$program" "$@"
}
export OPENCL_DYLIB_PATH="$here/lib/libOpenCL.so.1"

# Containers often have a driver without the file that names it.
if [ -z "${OCL_ICD_VENDORS-}" ] && ! ls /etc/OpenCL/vendors/*.icd >/dev/null 2>&1; then
    mkdir -p vendors
    for driver in libnvidia-opencl.so.1 libamdocl64.so libigdrcl.so; do
        if found=$(find /usr/lib /usr/lib64 /usr/local /opt -name "$driver*" 2>/dev/null | head -n 1) && [ -n "$found" ]; then
            echo "$found" >"vendors/$driver.icd"
        fi
    done
    export OCL_ICD_VENDORS="$here/vendors/"
fi

# Program, then log N, limbs, digits; or look-ups, steps
case $size in
full) cases="timing,14,8,4 timing,15,16,4 timing,16,24,3 tfhe,1,876 tfhe,256,876" ;;
small) cases="timing,12,4,2 tfhe,3,8" ;;
*)
    echo "run.sh: expected full or small, got $size; leave it out for full" >&2
    exit 1
    ;;
esac

status=0
{
    printf '{"commit": "%s", "date": "%s",\n"device":\n' "$(cat COMMIT)" "$(date -u +%Y-%m-%dT%H:%MZ)"
    run opencl_kit $number || status=1
    printf ',\n"timing": ['
    comma=
    for case in $cases; do
        printf '%s\n' "$comma"
        # shellcheck disable=SC2046 # several words
        if run "opencl_${case%%,*}" "opencl${number:+:$number}" $(echo "${case#*,}" | tr ',' ' ') >timing.json 2>timing.err; then
            cat timing.json
            tr ',' '\n' <timing.json | sed -n 's/^ *"\([a-z_]*\)": *\(.*\)$/\1 \2/p' |
                while read -r name value; do printf '%-32s %s\n' "$name" "$value"; done >&2
            grep -q '"residues_equal_cpu": true' timing.json || status=1
        else
            status=1
            cat timing.err >&2
            printf '{"case": "%s", "failed": "%s"}' "$case" "$(tr -d '\\"' <timing.err | tr '\n' ' ')"
        fi
        comma=,
    done
    printf ']}\n'
    [ "$status" = 0 ] || touch failed
} >result.json
rm -f timing.json timing.err
if [ -e failed ]; then
    rm -f failed
    echo "run.sh: something failed, see above and result.json" >&2
    exit 1
fi
echo "run.sh: every residue is right; send result.json" >&2
