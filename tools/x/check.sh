# shellcheck shell=bash
# What must hold before a commit.

command_check() {
    [ $# -eq 0 ] || die "check takes no arguments"
    need_rust
    need gcc binutils
    note "${bold}check${plain}"
    step "format" cargo fmt --all -- --check
    step "lints without DPDK" cargo clippy -p pfplane -p pfplane-demo --no-default-features --all-targets -- -D warnings
    step "docs without DPDK" env RUSTDOCFLAGS=-Dwarnings cargo doc -p pfplane --no-default-features --no-deps
    if can_have_dpdk; then
        step "lints with DPDK" cargo clippy --workspace --all-targets -- -D warnings
        step "docs with DPDK" env RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps
    else
        skip "lints and docs with DPDK: needs the packages ${dpdk_build[*]}"
    fi
    tests "rooms" cargo test -p pfplane --no-default-features --test layering
    step "core library: build" cargo build --release -p pfplane --no-default-features --target-dir target/core
    step "core library: no DPDK, one soname, only our symbols" check_core_library target/core/release/libpfplane.so
    step "no left-overs" check_left_overs
    if command -v shellcheck >/dev/null; then
        step "scripts" shellcheck -x x .ci/run
    else
        skip "scripts: shellcheck is not installed"
    fi
    totals
}

check_core_library() {
    local library=$1 wrong=0 symbol
    if readelf -d "$library" | grep -E 'NEEDED.*librte_'; then
        echo "the build without DPDK needs DPDK" && wrong=1
    fi
    [ -n "$(soname_of "$library")" ] || { echo "$library has no soname" && wrong=1; }
    while read -r symbol; do
        case $symbol in
        pfplane_*) ;;
        *) echo "exported, but not ours: $symbol" && wrong=1 ;;
        esac
    done < <(exported_symbols "$library")
    return "$wrong"
}

exported_symbols() { nm -D --defined-only "$1" | awk '{ print $3 }' | sort; }

check_left_overs() {
    ! git grep -nIE '\b(TODO|FIXME|XXX)\b|todo!\(|unimplemented!\(|#\[ignore' -- \
        '*.rs' '*.c' '*.h' '*.py' '*.sh' '*.md' x ':!tools/x/check.sh'
}
