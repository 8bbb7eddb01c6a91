# shellcheck shell=bash
# Mutations: each patch breaks one rule of src/ in a copy of the tree. The simulator must find every one, except those that need
# an order of frames too rare for it: unit tests, which drive nodes by hand, find these.

mutations=tools/sim/mutations
mutants=target/mutants

# command_mutations [NAME...]: tries all patches, or the named ones.
command_mutations() {
    local patches=("$@") patch caught=0
    need_rust
    [ ${#patches[@]} -gt 0 ] || mapfile -t patches < <(find "$mutations" -name '*.patch' -printf '%f\n' | sed 's/\.patch$//' | sort)
    for patch in "${patches[@]}"; do
        [ -f "$mutations/$patch.patch" ] || die "unknown mutation '$patch'; see $mutations"
        fresh_copy
        patch -s -p1 --fuzz=0 -d "$mutants/tree" <"$mutations/$patch.patch" >"$mutants/patch.log" 2>&1 ||
            die "$mutations/$patch.patch no longer applies: $(head -n 1 "$mutants/patch.log")"
        case $patch in
        equality-*) tests_catch "$patch" sync::equality ;;
        election-late-farewell) tests_catch "$patch" election::tests ;;
        *) simulator_catches "$patch" ;;
        esac && caught=$((caught + 1))
    done
    note "$caught of ${#patches[@]} mutations caught"
    [ "$caught" = ${#patches[@]} ]
}

# Copies tracked and new files with their times, so that cargo rebuilds only the patched crate.
fresh_copy() {
    rm -rf "$mutants/tree"
    mkdir -p "$mutants/tree"
    git ls-files -z --cached --others --exclude-standard | grep -zv '^tests/vectors/' |
        xargs -0 cp -p --parents -t "$mutants/tree"
}

# tests_catch NAME FILTER: succeeds if a unit test fails.
tests_catch() {
    local name=$1 filter=$2 report
    local cargo=(cargo test --release -p pfplane --no-default-features --lib --manifest-path "$mutants/tree/Cargo.toml")
    CARGO_TARGET_DIR=$PWD/$mutants/build must "build with mutation $name" "${cargo[@]}" --no-run
    report=$(CARGO_TARGET_DIR=$PWD/$mutants/build "${cargo[@]}" -- "$filter" 2>&1 | grep '^test result: ') || true
    case $report in
    *FAILED*) note "  ${green}caught${plain}  $name: ${report#test result: FAILED. }" ;;
    *) note "  ${red}MISSED${plain}  $name: ${report:-no report}" && return 1 ;;
    esac
}

# Succeeds if at least one of the first 200 seeds fails.
simulator_catches() {
    local name=$1 plan=faults report
    # Rules of the election are tried with elections, those of repairs with a link that loses frames between pfplane nodes,
    # those of the seal with an attacker on it.
    case $name in election-*) plan=election ;; seal-*) plan=seal ;; repair-*) plan=repair ;; esac
    CARGO_TARGET_DIR=$PWD/$mutants/build must "build with mutation $name" \
        cargo build --release -p pfplane-sim --manifest-path "$mutants/tree/Cargo.toml"
    report=$("$mutants/build/release/pfplane-sim" --plan "$plan" --seeds 200 --keep-going 2>&1 | tail -n 1) || true
    case $report in
    '0 of '* | '') note "  ${red}MISSED${plain}  $name: ${report:-no report}" && return 1 ;;
    *) note "  ${green}caught${plain}  $name: $report" ;;
    esac
}
