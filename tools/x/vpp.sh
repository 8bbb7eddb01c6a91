# shellcheck shell=bash
# The VPP plugin: built and tested against an installed VPP, skipped where there is none.

vpp_places=(/usr /usr/local /opt/vpp)
vpp_build=(cmake make gcc)

# Prints the prefix of an installed VPP with its headers and tools.
find_vpp() {
    local prefix
    for prefix in ${PFPLANE_VPP_PREFIX:+"$PFPLANE_VPP_PREFIX"} "${vpp_places[@]}"; do
        if [ -f "$prefix/include/vppinfra/clib.h" ] && [ -f "$prefix/include/vpp/app/version.h" ] &&
            [ -x "$prefix/bin/vppapigen" ]; then
            echo "$prefix"
            return 0
        fi
        # What the user named is not replaced by another one.
        [ -z "${PFPLANE_VPP_PREFIX:-}" ] || return 1
    done
    return 1
}

no_vpp() {
    if [ -n "${PFPLANE_VPP_PREFIX:-}" ]; then
        echo "no VPP with headers and vppapigen in PFPLANE_VPP_PREFIX=$PFPLANE_VPP_PREFIX"
    else
        echo "no VPP with headers and vppapigen in ${vpp_places[*]}; PFPLANE_VPP_PREFIX names another place"
    fi
}

vpp_version_of() { sed -n 's/^#define VPP_BUILD_VER "\(.*\)".*/\1/p' "$1/include/vpp/app/version.h"; }

# vppapigen runs with the first python3 that it finds, and needs ply.
path_with_ply() {
    if python3 -c 'import ply' 2>/dev/null; then echo "$PATH"; else echo "/usr/bin:$PATH"; fi
}

# build_vpp_plugin PREFIX VERSION: builds into target/vpp-VERSION, so that two VPPs can be built for side by side. After a step that
# failed, the plugin of an earlier build is neither checked nor tested.
build_vpp_plugin() {
    local build=target/vpp-$2 before=$failed path
    path=$(path_with_ply)
    step "library without DPDK" cargo build --release -p pfplane --no-default-features --target-dir target/core
    [ "$failed" = "$before" ] || return 0
    step "plugin: configure" env PATH="$path" cmake -S vpp-plugin -B "$build" -DCMAKE_PREFIX_PATH="$1" \
        -DPFPLANE_LIBRARY="$PWD/target/core/release/libpfplane.a" -DPFPLANE_INCLUDE="$PWD/include" \
        -DPFPLANE_VERSION="$(package_version)"
    [ "$failed" = "$before" ] || return 0
    step "plugin: build" env PATH="$path" cmake --build "$build"
    [ "$failed" = "$before" ] || return 0
    step "plugin: exports one symbol" check_vpp_exports "$build/lib/vpp_plugins/pfplane_plugin.so"
}

# VPP reads one symbol of a plugin. Whatever else it exports could replace a symbol of VPP.
check_vpp_exports() {
    local symbols
    symbols=$(exported_symbols "$1" | xargs)
    echo "exports: $symbols"
    [ "$symbols" = vlib_plugin_registration ]
}

command_vpp() {
    local prefix version
    [ $# -eq 0 ] || die "vpp takes no arguments"
    need_rust
    note "${bold}vpp${plain}"
    if ! prefix=$(find_vpp); then
        skip "the VPP plugin: $(no_vpp)"
        totals
        return
    fi
    version=$(vpp_version_of "$prefix")
    ensure_packages "${vpp_build[@]}" || { skip "the VPP plugin: needs ${vpp_build[*]}" && totals && return; }
    note "  VPP $version in $prefix"
    build_vpp_plugin "$prefix" "$version"
    if [ "$failed" = 0 ]; then
        note "  plugin: $PWD/target/vpp-$version/lib/vpp_plugins/pfplane_plugin.so"
    fi
    totals
}

# Writes the Debian package of the plugin for the installed VPP.
command_package() {
    local prefix version build
    [ "$*" = vpp ] || die "usage: ./x package vpp"
    need_rust
    if ! prefix=$(find_vpp); then
        note "SKIPPED: the package: $(no_vpp)"
        return
    fi
    need "${vpp_build[@]}"
    version=$(vpp_version_of "$prefix")
    build=target/vpp-$version
    build_vpp_plugin "$prefix" "$version"
    [ "$failed" = 0 ] || exit 1
    rm -f "$build"/vpp-plugin-pfplane_*.deb
    must "write the package" env -C "$build" PATH="$(path_with_ply)" cpack -G DEB
    dpkg-deb --field "$build"/vpp-plugin-pfplane_*.deb Package Version Architecture Depends Recommends
    dpkg-deb --contents "$build"/vpp-plugin-pfplane_*.deb | awk '$1 !~ /^d/ { print "  " $6 }'
    note "$build/$(basename "$build"/vpp-plugin-pfplane_*.deb)"
}

demo_vpp() { run_with_vpp demo.py "the demonstration with VPP" "$@"; }
bench_vpp() { run_with_vpp bench.py "the benchmark in VPP" "$@"; }

# run_with_vpp SCRIPT TITLE [OPTIONS]: builds the plugin and runs a script of vpp-plugin/test; skipped where there is no VPP.
run_with_vpp() {
    local prefix version script=vpp-plugin/test/$1 title=$2
    shift 2
    case " $* " in *" --help "*) exec "$script" --help ;; esac
    if ! prefix=$(find_vpp); then
        note "SKIPPED: $title: $(no_vpp)"
        return
    fi
    [ "$(id -u)" = 0 ] || die "$title needs root"
    need "${vpp_build[@]}" "${network_tools[@]}"
    version=$(vpp_version_of "$prefix")
    build_vpp_plugin "$prefix" "$version"
    [ "$failed" = 0 ] || exit 2
    exec "$script" "$prefix" "$PWD/target/vpp-$version/lib/vpp_plugins" "$@"
}

# test_vpp [NAME...]: tests whose names hold one of the words.
test_vpp() {
    local prefix version
    if ! prefix=$(find_vpp); then
        skip "the VPP plugin: $(no_vpp)"
        return
    fi
    version=$(vpp_version_of "$prefix")
    ensure_packages "${vpp_build[@]}" || { skip "the VPP plugin: needs ${vpp_build[*]}" && return; }
    note "  VPP $version in $prefix"
    build_vpp_plugin "$prefix" "$version"
    if [ "$failed" != 0 ]; then return; fi
    [ "$(id -u)" = 0 ] || { skip "the VPP plugin on a running VPP: needs root" && return; }
    ensure_packages "${network_tools[@]}" || { skip "the VPP plugin on a running VPP: needs ${network_tools[*]}" && return; }
    tests "plugin on a running VPP" vpp-plugin/test/run.py "$prefix" "$PWD/target/vpp-$version/lib/vpp_plugins" "$@"
}
