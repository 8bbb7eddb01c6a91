# shellcheck shell=bash
# Debian packages: asked for only when what they bring is really missing.

# How one sees that a package's content is here. A package from elsewhere (own DPDK build, newer clang) counts too.
is_here() {
    case $1 in
    libdpdk-dev) pkg-config --exists 'libdpdk >= 22.11' 2>/dev/null ;;
    libclang-dev) compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || [ -n "${LIBCLANG_PATH:-}" ] ;;
    libabsl-dev) pkg-config --exists absl_flat_hash_map 2>/dev/null ;;
    libboost1.81-dev) compgen -G '/usr/*include/boost/unordered/unordered_flat_map.hpp' >/dev/null ;;
    iputils-ping) command -v ping >/dev/null ;;
    iproute2) command -v ip >/dev/null ;;
    procps) command -v ps >/dev/null && command -v sysctl >/dev/null ;;
    binutils) command -v readelf >/dev/null && command -v nm >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

missing_of() {
    local package
    for package in "$@"; do
        is_here "$package" || echo "$package"
    done
}

# need PACKAGE...: installs what is missing; fails with one sentence when it cannot.
need() {
    local missing
    mapfile -t missing < <(missing_of "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    can_install || die "missing packages; as root: apt-get install ${missing[*]}"
    apt_install "${missing[@]}"
    # pkg-config may have come just now, and only with it DPDK can be seen.
    mapfile -t missing < <(missing_of "$@")
    [ ${#missing[@]} -eq 0 ] || die "apt installed them, but they are not usable: ${missing[*]}"
}

# can_have PACKAGE...: the same, as a question: false when they are missing and cannot be installed here.
can_have() {
    local missing
    mapfile -t missing < <(missing_of "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    can_install || return 1
    need "$@"
}

# try_packages PACKAGE...: for what a command can do without; false when they cannot be had.
try_packages() {
    local missing
    mapfile -t missing < <(missing_of "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    can_install || return 1
    run_logged "apt-get install ${missing[*]}" as_root apt-get install -y --no-install-recommends "${missing[@]}"
}

can_install() {
    command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

apt_install() {
    note "installing: $*"
    run_logged "apt-get install" as_root apt-get install -y --no-install-recommends "$@" && return 0
    must "apt-get update" as_root apt-get update
    must "apt-get install again" as_root apt-get install -y --no-install-recommends "$@"
}

need_rust() {
    command -v cargo >/dev/null || die "cargo is missing: install Rust $rust_least or later (https://rustup.rs)"
}

dpdk_build=(pkg-config gcc libdpdk-dev libclang-dev)

# For what is built with DPDK when it can be had, and without it otherwise.
can_have_dpdk() { can_have "${dpdk_build[@]}"; }

need_nightly() {
    cargo +nightly --version >/dev/null 2>&1 ||
        die "$1 needs a nightly toolchain: rustup toolchain install nightly --profile minimal"
}
