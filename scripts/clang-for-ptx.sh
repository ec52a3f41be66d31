# Sourced by check-ptx.sh and test-ptx.sh: Clang and libclc, from Debian, for OpenCL C to PTX. Needs `fail`.
packages=(clang-19 libclc-19)
if ! dpkg -s "${packages[@]}" >/dev/null 2>&1; then
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null \
        || fail "expected Debian and the right to install packages; install ${packages[*]}"
fi
export RINGLOOM_CLANG=clang-19 RINGLOOM_LIBCLC=/usr/lib/clc/nvptx64--nvidiacl.bc
