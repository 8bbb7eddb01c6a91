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
    tests "tree and header" cargo test -p pfplane --no-default-features --test tree --test header \
        -- --show-output
    step "core library: build" cargo build --release -p pfplane --no-default-features --target-dir target/core
    step "core library: no DPDK, a soname, only our symbols" check_core_library target/core/release/libpfplane.so
    if can_have_dpdk; then
        step "library with DPDK: build" cargo build --release -p pfplane -p pfplane-demo
        step "library with DPDK: what the header declares" check_symbols target/release/libpfplane.so '.'
    fi
    step "no left-overs" check_left_overs
    if command -v shellcheck >/dev/null; then
        step "scripts" shellcheck -x x .ci/run
    else
        skip "scripts: shellcheck is not installed"
    fi
    totals
}

check_core_library() {
    if readelf -d "$1" | grep -E 'NEEDED.*librte_'; then
        echo "the build without DPDK needs DPDK"
        return 1
    fi
    [ -n "$(soname_of "$1")" ] || { echo "$1 has no soname" && return 1; }
    check_symbols "$1" -v _mbuf
}

# check_symbols LIBRARY GREP-ARGUMENTS...: the functions of the header that grep lets through are the library's, no more.
check_symbols() {
    local library=$1
    shift
    diff <(declared_functions | grep "$@") <(exported_symbols "$library") ||
        { echo "the header (<) and $library (>) do not have the same functions" && return 1; }
}

exported_symbols() { nm -D --defined-only "$1" | awk '{ print $3 }' | sort; }

declared_functions() {
    gcc -E -P include/pfplane.h | tr -s ' \n' ' ' | grep -oE '\bpfplane_[a-z0-9_]+ ?\(' | tr -d ' (' | sort -u
}

check_left_overs() {
    ! git grep -nIE '\b(TODO|FIXME|XXX)\b|todo!\(|unimplemented!\(|#\[ignore' -- \
        '*.rs' '*.c' '*.h' '*.py' '*.sh' '*.md' x ':!tools/x/check.sh'
}
