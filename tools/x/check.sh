# shellcheck shell=bash
# What must pass before a commit.

command_check() {
    [ $# -eq 0 ] || die "check takes no arguments"
    need_rust
    need gcc binutils
    note "${bold}check${plain}"
    step "format" cargo fmt --all -- --check
    step "lints without DPDK" cargo clippy -p pfplane -p pfsync -p pfplane-testkit -p pfplane-sim --no-default-features --all-targets -- -D warnings
    step "docs without DPDK" env RUSTDOCFLAGS=-Dwarnings cargo doc -p pfplane -p pfsync --no-default-features --no-deps
    if ensure_dpdk; then
        step "lints with DPDK" cargo clippy --workspace --all-targets -- -D warnings
        step "docs with DPDK" env RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps
    else
        skip "lints and docs with DPDK: as root, apt-get install ${dpdk_build[*]}"
    fi
    tests "structure, words and header" cargo test -p pfplane --no-default-features --test tree --test header -- --show-output
    step "pfsync can be published" cargo package -p pfsync --allow-dirty --quiet
    step "pfplane can be packaged" check_package
    step "library without DPDK: build" cargo build --release -p pfplane --no-default-features --target-dir target/core
    step "library without DPDK: no DPDK, a soname, only our symbols" check_core_library target/core/release/libpfplane.so
    if ensure_dpdk; then
        step "library with DPDK: build" cargo build --release -p pfplane -p pfplane-demo
        step "library with DPDK: exports what the header declares" check_symbols target/release/libpfplane.so '.'
    fi
    step "no unfinished work" check_unfinished
    if command -v shellcheck >/dev/null; then
        step "scripts" shellcheck -x x .ci/run
    else
        skip "scripts: shellcheck is not installed"
    fi
    totals
}

# A registry cannot know our own crates before they are published, so this builds nothing.
check_package() {
    cargo package -p pfplane --allow-dirty --list >/dev/null
}

check_core_library() {
    if readelf -d "$1" | grep -E 'NEEDED.*librte_'; then
        echo "the build without DPDK links DPDK"
        return 1
    fi
    [ -n "$(soname_of "$1")" ] || { echo "$1 has no soname" && return 1; }
    check_symbols "$1" -v _mbuf
}

# check_symbols LIBRARY GREP-ARGUMENTS...: compares the exports with the functions of the header that grep selects.
check_symbols() {
    local library=$1
    shift
    diff <(declared_functions | grep "$@") <(exported_symbols "$library") ||
        { echo "the header (<) and $library (>) differ" && return 1; }
}

exported_symbols() { nm -D --defined-only "$1" | awk '{ print $3 }' | sort; }

declared_functions() {
    gcc -E -P include/pfplane.h | tr -s ' \n' ' ' | grep -oE '\bpfplane_[a-z0-9_]+ ?\(' | tr -d ' (' | sort -u
}

check_unfinished() {
    ! git grep -nIE '\b(TODO|FIXME|XXX)\b|todo!\(|unimplemented!\(|#\[ignore' -- \
        '*.rs' '*.c' '*.h' '*.py' '*.sh' '*.md' x ':!tools/x/check.sh'
}
