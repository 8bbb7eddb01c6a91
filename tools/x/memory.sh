# shellcheck shell=bash
# Memory checkers and fuzzing.

# These tools run 10 to 50 times slower, so property tests try fewer cases.
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

# The unit tests of the modules with unsafe code, and the C API's tests.
command_miri() {
    local quick=no
    if [ "${1:-}" = --quick ]; then
        quick=yes
        shift
    fi
    need_rust
    need_nightly miri
    cargo +nightly miri --version >/dev/null 2>&1 ||
        must "install Miri" rustup component add miri rust-src --toolchain nightly
    few_cases 4
    export MIRIFLAGS="-Zmiri-disable-isolation ${MIRIFLAGS:-}"
    if [ "$quick" = yes ]; then
        miri_tests "C API under Miri, unit tests" --lib -- ffi:: "$@"
    else
        miri_tests "modules with unsafe code under Miri" --lib -- cpu:: memory:: table:: ffi:: "$@"
        miri_tests "C API under Miri" --test c_api -- "$@"
    fi
    totals
}

# miri_tests TITLE ARGUMENTS...
miri_tests() {
    local title=$1
    shift
    tests "$title" cargo +nightly miri test -p pfplane --no-default-features --no-fail-fast --target-dir target/miri "$@"
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
