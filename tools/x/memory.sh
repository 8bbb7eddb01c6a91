# shellcheck shell=bash
# Tools that watch memory: sanitizer, valgrind, Miri, fuzzing.

# Fewer cases than a plain run: these tools are ten to fifty times slower.
few_cases() { export PROPTEST_CASES="${PROPTEST_CASES:-$1}"; }

command_sanitize() {
    local target=x86_64-unknown-linux-gnu
    need_rust
    need_nightly sanitize
    need gcc
    few_cases 64
    export RUSTFLAGS="-Zsanitizer=address ${RUSTFLAGS:-}" ASAN_OPTIONS=detect_stack_use_after_return=1
    tests "tests under AddressSanitizer" cargo +nightly test -p pfplane --no-default-features --lib --tests \
        --no-fail-fast --target "$target" --target-dir target/sanitize -- "$@"
    totals
}

command_valgrind() {
    local tool='valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite'
    need_rust
    need gcc valgrind
    few_cases 4
    tests "unit tests under valgrind" env CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$tool" \
        cargo test -p pfplane --no-default-features --lib --no-fail-fast -- "$@"
    totals
}

command_miri() {
    need_rust
    need_nightly miri
    cargo +nightly miri --version >/dev/null 2>&1 ||
        die "Miri is not installed (rustup +nightly component add miri rust-src); ./x sanitize and ./x valgrind come closest"
    few_cases 4
    tests "unit tests under Miri" env MIRIFLAGS="-Zmiri-disable-isolation ${MIRIFLAGS:-}" \
        cargo +nightly miri test -p pfplane --no-default-features --lib --no-fail-fast -- "$@"
    totals
}

command_fuzz() {
    [ -x fuzz/run.sh ] || die "fuzz/run.sh is missing in this checkout"
    need_rust
    need_nightly fuzz
    need g++
    cargo +nightly fuzz --version >/dev/null 2>&1 ||
        must "install cargo-fuzz" cargo install cargo-fuzz --locked --version '^0.13'
    exec fuzz/run.sh "$@"
}
