#!/usr/bin/env bash
# Runs every fuzz target for --seconds N (default 60), or with --corpus only what the corpus holds, and prints how many
# inputs each ran. Needs the nightly toolchain and cargo-fuzz.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

seconds=60
case ${1:-} in
'') ;;
--corpus) seconds=0 ;;
--seconds) seconds=$2 ;;
*[!0-9]*)
    echo "usage: fuzz/run.sh [SECONDS | --seconds SECONDS | --corpus]" >&2
    exit 2
    ;;
*) seconds=$1 ;;
esac

targets=$(sed -n 's/^path = "fuzz_targets\/\(.*\)\.rs"$/\1/p' Cargo.toml)
# What a run finds goes to target/, the committed corpus stays as it is.
found=target/found
cargo +nightly fuzz build --fuzz-dir .

total=0
for target in $targets; do
    mkdir -p "$found/$target" "corpus/$target"
    log=target/$target.log
    limit=(-runs=0)
    [ "$seconds" -gt 0 ] && limit=("-max_total_time=$seconds")
    if ! cargo +nightly fuzz run --fuzz-dir . "$target" "$found/$target" "corpus/$target" -- \
        "${limit[@]}" -max_len=9000 -timeout=10 -print_final_stats=1 >"$log" 2>&1; then
        tail -40 "$log"
        echo "$target: FAILED, see fuzz/artifacts/$target" >&2
        exit 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2)
    printf '%-12s %12d executions, %5s points of code reached, no finding\n' "$target" "$runs" "${covered:-0}"
    total=$((total + runs))
done
printf '%-12s %12d executions in %d s each\n' all "$total" "$seconds"
