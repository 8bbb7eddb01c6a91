# shellcheck shell=bash
# Debian packages. A package is installed only when what it provides is missing.

# is_installed PACKAGE: looks for what the package provides, so that a DPDK built from source or a newer clang counts too.
is_installed() {
    case $1 in
    libdpdk-dev) pkg-config --exists 'libdpdk >= 22.11' 2>/dev/null ;;
    libclang-dev) compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || [ -n "${LIBCLANG_PATH:-}" ] ;;
    libabsl-dev) pkg-config --exists absl_flat_hash_map 2>/dev/null ;;
    libboost1.81-dev) compgen -G '/usr/*include/boost/unordered/unordered_flat_map.hpp' >/dev/null ;;
    iputils-ping) command -v ping >/dev/null ;;
    iproute2) command -v ip >/dev/null ;;
    gcc-aarch64-linux-gnu) command -v aarch64-linux-gnu-gcc >/dev/null ;;
    libc6-dev-arm64-cross) [ -e /usr/aarch64-linux-gnu/lib/libc.so ] ;;
    qemu-user-static) command -v qemu-aarch64-static >/dev/null ;;
    procps) command -v ps >/dev/null && command -v sysctl >/dev/null ;;
    binutils) command -v readelf >/dev/null && command -v nm >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

missing_packages() {
    local package
    for package in "$@"; do
        is_installed "$package" || echo "$package"
    done
}

# need PACKAGE...: installs what is missing, or ends with a sentence that names the packages.
need() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    can_install || die "missing packages; as root: apt-get install ${missing[*]}"
    apt_install "${missing[@]}"
    # Without pkg-config an installed DPDK looks missing, so look again now that pkg-config is there.
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -eq 0 ] || die "installed by apt, but not usable: ${missing[*]}"
}

# ensure_packages PACKAGE...: as need, but returns false when a package is missing and cannot be installed.
ensure_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    can_install || return 1
    need "$@"
}

# ensure_optional PACKAGE...: as ensure_packages, for packages that the command can do without.
ensure_optional() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
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
    command -v cargo >/dev/null || die "cargo is missing: install Rust $min_rust or later (https://rustup.rs)"
}

dpdk_build=(pkg-config gcc libdpdk-dev libclang-dev)

# True if programs that use DPDK can be built here.
ensure_dpdk() { ensure_packages "${dpdk_build[@]}"; }

need_nightly() {
    cargo +nightly --version >/dev/null 2>&1 ||
        die "$1 needs a nightly toolchain: rustup toolchain install nightly --profile minimal"
}
