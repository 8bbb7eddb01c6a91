# shellcheck shell=bash
# Header, installation.

command_header() {
    need_rust
    run_logged "generate include/pfplane.h" \
        env PFPLANE_BLESS=1 cargo test --no-default-features --test header the_header_is ||
        { show_failure "generate include/pfplane.h" && exit 1; }
    git --no-pager diff --stat -- include/pfplane.h
    note "include/pfplane.h is up to date with src/ffi"
}

# Installs the static and the shared library, the header and the pkg-config file.
command_install() {
    local prefix=${1:-/usr/local} features=() requires=libdpdk version
    local root=${DESTDIR:-}$prefix
    need_rust
    if [ "${PFPLANE_DPDK:-1}" = 0 ]; then
        features=(--no-default-features)
        requires=
    else
        need "${dpdk_build[@]}"
    fi
    version=$(package_version)
    must "build the library" cargo build --release -p pfplane "${features[@]}" --target-dir target/install
    install -d "$root/lib/pkgconfig" "$root/include"
    install -m 644 include/pfplane.h "$root/include/"
    install -m 644 target/install/release/libpfplane.a "$root/lib/"
    install -m 755 target/install/release/libpfplane.so "$root/lib/libpfplane.so.$version"
    ln -sf "libpfplane.so.$version" "$root/lib/$(soname_of target/install/release/libpfplane.so)"
    ln -sf "$(soname_of target/install/release/libpfplane.so)" "$root/lib/libpfplane.so"
    pkg_config_file "$prefix" "$version" "$requires" >"$root/lib/pkgconfig/pfplane.pc"
    note "installed pfplane $version below $root; use it with: pkg-config --cflags --libs pfplane"
}

package_version() { sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml; }

soname_of() { readelf -d "$1" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p'; }

# pkg-config prints our library before those it requires: a static link needs that order.
pkg_config_file() {
    cat <<TEXT
prefix=$1
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: pfplane
Description: Stateful firewall lookup and pfsync replication for DPDK and VPP dataplanes
Version: $2
Requires: $3
Cflags: -I\${includedir}
Libs: -L\${libdir} -lpfplane
Libs.private: -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
TEXT
}
