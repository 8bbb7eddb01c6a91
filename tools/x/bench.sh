# shellcheck shell=bash
# Benches, and the comparison of two commits.

explain_bench() {
    cat <<TEXT
usage: ./x bench [NAME]... [OPTION]...
       ./x bench --compare COMMIT [--runs N] NAME... [OPTION]...
       ./x bench vpp [OPTION]...        the plugin beside those of VPP, in one VPP (\`./x bench vpp --help\`)

Runs benches: $(bench_names | xargs). Without a NAME, all of them.

  --compare COMMIT   build COMMIT too (in target/compare), run each bench of both in turn on one processor, and print how many
                     times as fast the working tree is: the median of all rounds, and what 80 % of them lie between
  --runs N           with --compare: start both builds N times (default 3)

All other options are the bench's own:
  --quick, --full    default sizes, or also the largest
  --sizes=N,N        these numbers of flows
  --only=TEXT        only measures whose name contains TEXT
  --rounds=N         number of rounds
  --json=FILE        output file (not with --compare)
TEXT
}

bench_names() { find benches -maxdepth 1 -name '*.rs' -printf '%f\n' 2>/dev/null | sed 's/\.rs$//' | sort; }

command_bench() {
    local names=() arguments=() commit='' runs=''
    if [ "${1:-}" = vpp ]; then
        shift && bench_vpp "$@"
        return
    fi
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help) explain_bench && return ;;
        --compare=* | --runs=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
        --compare)
            [ -n "${2:-}" ] || die "--compare needs a commit: ./x bench --compare HEAD~1 lane"
            commit=$2 && shift
            ;;
        --runs)
            [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "--runs needs a number above 0"
            runs=$2 && shift
            ;;
        -*) arguments+=("$1") ;;
        *) names+=("$1") ;;
        esac
        shift
    done
    [ -z "$runs" ] || [ -n "$commit" ] || die "--runs is for --compare; --rounds=N sets the rounds of one run"
    local name
    for name in "${names[@]}"; do
        [ -f "benches/$name.rs" ] || die "unknown benchmark '$name'; known: $(bench_names | xargs)"
    done
    if [ -n "$commit" ]; then
        [ ${#names[@]} -gt 0 ] || die "--compare needs the benches to compare, one or more of: $(bench_names | xargs)"
        compare_benches "$commit" "${runs:-3}"
        return
    fi
    if [ ${#names[@]} -eq 0 ]; then mapfile -t names < <(bench_names); fi
    [ ${#names[@]} -gt 0 ] || die "benches/ holds no benchmark"
    need_bench_packages
    for name in "${names[@]}"; do
        note "${bold}bench $name${plain}"
        cargo bench -p pfplane-bench --bench "$name" -- "${arguments[@]}"
    done
}

need_bench_packages() {
    need_rust
    need "${dpdk_build[@]}"
    ensure_optional g++ libabsl-dev libboost1.81-dev ||
        note "without Abseil and Boost: libabsl-dev and libboost1.81-dev are not installed"
    [[ " ${names[*]} " == *' link '* ]] || return 0
    ensure_optional iproute2 conntrackd nftables ||
        note "without conntrackd: conntrackd and nftables are not installed"
}

# compare_benches COMMIT RUNS: compares `names` of the working tree with those of COMMIT; `arguments` are the benches'.
compare_benches() {
    local tree=target/compare/tree built=$PWD/target/compare/build commit before after compare name whole
    commit=$(git rev-parse --verify --quiet "$1^{commit}") || die "--compare: git knows no commit '$1' here"
    [[ " ${arguments[*]} " != *' --json'* ]] || die "--json is not for --compare: the results are in target/compare"
    for name in "${names[@]}"; do
        git cat-file -e "$commit:benches/$name.rs" 2>/dev/null || die "--compare: commit '$1' has no bench '$name'"
    done
    need_bench_packages
    git worktree prune
    if [ -d "$tree" ]; then
        git -C "$tree" checkout --quiet --force --detach "$commit"
    else
        git worktree add --quiet --force --detach "$tree" "$commit"
    fi
    for name in "${names[@]}"; do
        note "${bold}bench $name${plain}: $(git log -1 --format='%h (%s)' "$commit") before, the working tree after"
        before=$(built_bench "$tree" "$name" before)
        after=$(built_bench . "$name" after)
        must "build the comparison" cargo build --release -p pfplane-bench --bin compare --target-dir "$built"
        # It starts processes and measures real time.
        whole=()
        if [ "$name" = link ]; then whole=(--whole); fi
        "$built/release/compare" "${whole[@]}" --runs="$2" --folder="target/compare/$name" "$before" "$after" "${arguments[@]}"
    done
}

# built_bench TREE NAME WHICH: builds a bench in the folder `built` and prints the program's path.
built_bench() {
    local program
    cd "$1"
    must "build $2, $3" cargo bench --no-run -p pfplane-bench --bench "$2" --target-dir "$built" \
        --message-format=json-render-diagnostics >&2
    program=$(sed -n 's/.*"kind":\["bench"\].*"executable":"\([^"]*\)".*/\1/p' "$log" | tail -n 1)
    [ -n "$program" ] || die "cargo named no program for bench '$2'; see $1/$log"
    echo "$program"
}
