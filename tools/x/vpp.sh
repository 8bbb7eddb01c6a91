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

# build_vpp_plugin PREFIX VERSION: builds into target/vpp-VERSION, so that two VPPs can be built for side by side.
build_vpp_plugin() {
    local build=target/vpp-$2
    # vppapigen runs with the first python3 that it finds, and needs ply.
    local path=$PATH
    python3 -c 'import ply' 2>/dev/null || path=/usr/bin:$PATH
    step "library without DPDK" cargo build --release -p pfplane --no-default-features --target-dir target/core
    step "plugin: configure" env PATH="$path" cmake -S vpp-plugin -B "$build" -DCMAKE_PREFIX_PATH="$1" \
        -DPFPLANE_LIBRARY="$PWD/target/core/release/libpfplane.a" -DPFPLANE_INCLUDE="$PWD/include" \
        -DPFPLANE_VERSION="$(package_version)"
    step "plugin: build" env PATH="$path" cmake --build "$build"
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
    note "  plugin: $PWD/target/vpp-$version/lib/vpp_plugins/pfplane_plugin.so"
    totals
}

# demo_vpp [OPTIONS]: two VPPs; skipped where there is none.
demo_vpp() {
    local prefix version
    case " $* " in *" --help "*) exec vpp-plugin/test/demo.py --help ;; esac
    if ! prefix=$(find_vpp); then
        note "SKIPPED: the demonstration with VPP: $(no_vpp)"
        return
    fi
    [ "$(id -u)" = 0 ] || die "the demonstration needs root for its network namespaces"
    need "${vpp_build[@]}" "${network_tools[@]}"
    version=$(vpp_version_of "$prefix")
    build_vpp_plugin "$prefix" "$version"
    [ "$failed" = 0 ] || exit 2
    exec vpp-plugin/test/demo.py "$prefix" "$PWD/target/vpp-$version/lib/vpp_plugins" "$@"
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
