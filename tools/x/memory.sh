# shellcheck shell=bash
# Memory checkers and fuzzing.

# These tools run 10 to 50 times slower, so property tests try fewer cases.
few_cases() { export PROPTEST_CASES="${PROPTEST_CASES:-$1}"; }

# sanitize [FILTER...]: AddressSanitizer, all tests. sanitize thread [FILTER...]: ThreadSanitizer, the tests of several threads.
command_sanitize() {
    local checker=address
    if [ "${1:-}" = thread ]; then
        checker=thread
        shift
    fi
    need_rust
    need_nightly sanitize
    need gcc
    "sanitize_$checker" "$@"
    totals
}

sanitizer_target=x86_64-unknown-linux-gnu

sanitize_address() {
    few_cases 64
    export RUSTFLAGS="-Zsanitizer=address ${RUSTFLAGS:-}" ASAN_OPTIONS=detect_stack_use_after_return=1
    tests "tests under AddressSanitizer" cargo +nightly test -p pfplane --no-default-features --lib --tests \
        --no-fail-fast --target "$sanitizer_target" --target-dir target/sanitize -- "$@"
}

# Tests that start threads: lanes and a control thread on one engine, shared limits, the last error of each thread.
threaded_tests=(threads:: limits::tests:: ffi::status::)

# ThreadSanitizer must see the standard library too, so that is built as well.
sanitize_thread() {
    need_rust_src
    [ $# -gt 0 ] || set -- "${threaded_tests[@]}"
    export RUSTFLAGS="-Zsanitizer=thread ${RUSTFLAGS:-}" TSAN_OPTIONS="halt_on_error=1 ${TSAN_OPTIONS:-}"
    tests "tests of several threads under ThreadSanitizer" cargo +nightly test -Zbuild-std -p pfplane \
        --no-default-features --lib --test c_api --no-fail-fast --target "$sanitizer_target" \
        --target-dir target/sanitize-thread -- "$@"
}

need_rust_src() {
    [ -d "$(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library" ] ||
        must "install the source of the standard library" rustup component add rust-src --toolchain nightly
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
