#!/usr/bin/env bash
# Runs every fuzz target over its corpus and then for --seconds N (default 60), two at a time, and prints how many inputs
# each ran. With --corpus it runs the corpus only. Needs the nightly toolchain and cargo-fuzz.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

usage() {
    echo "usage: fuzz/run.sh [--seconds SECONDS | --corpus] [TARGET...]" >&2
    exit 2
}

seconds=60
chosen=()
while [ $# -gt 0 ]; do
    case $1 in
    --corpus) seconds=0 ;;
    --seconds)
        [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage
        seconds=$2
        shift
        ;;
    -*) usage ;;
    *) chosen+=("$1") ;;
    esac
    shift
done

mapfile -t targets < <(sed -n 's/^path = "fuzz_targets\/\(.*\)\.rs"$/\1/p' Cargo.toml)
for target in "${chosen[@]}"; do
    [ -f "fuzz_targets/$target.rs" ] || { echo "unknown target '$target'; the targets are ${targets[*]}" >&2 && exit 2; }
done
[ ${#chosen[@]} -eq 0 ] || targets=("${chosen[@]}")
# New inputs are written to target/; the committed corpus does not change.
found=target/found
cargo +nightly fuzz build --fuzz-dir .

run_target() {
    local target=$1 log=target/$1.log limit=(-runs=0) runs covered
    mkdir -p "$found/$target" "corpus/$target"
    [ "$seconds" -gt 0 ] && limit=("-max_total_time=$seconds")
    if ! cargo +nightly fuzz run --fuzz-dir . "$target" "$found/$target" "corpus/$target" -- \
        "${limit[@]}" -max_len=9000 -timeout=10 -print_final_stats=1 >"$log" 2>&1; then
        tail -40 "$log"
        echo "$target: FAILED, see fuzz/artifacts/$target" >&2
        return 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    covered=$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2)
    printf '%-12s %12d executions, %5s edges covered, no finding\n' "$target" "$runs" "${covered:-0}"
}

failed=0
for ((at = 0; at < ${#targets[@]}; at += 2)); do
    jobs=()
    for target in "${targets[@]:at:2}"; do
        run_target "$target" &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
done
[ "$failed" = 0 ] || exit 1

total=0
for target in "${targets[@]}"; do
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "target/$target.log")
    total=$((total + runs))
done
printf '%-12s %12d executions in %d s each\n' all "$total" "$seconds"
