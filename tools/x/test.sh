# shellcheck shell=bash
# The tests. A part is a room of src/ or a file of tests/.

rooms() { find src -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort; }
test_files() { find tests -maxdepth 1 -name '*.rs' -printf '%f\n' 2>/dev/null | sed 's/\.rs$//' | sort; }
part_names() { { rooms && test_files; } | sort -u | xargs; }

command_test() {
    need_rust
    can_have gcc || die "a C compiler is missing; as root: apt-get install gcc"
    note "${bold}test ${1:-(everything)}${plain}"
    if [ $# -eq 0 ]; then test_everything; else test_part "$@"; fi
    totals
}

test_everything() {
    tests "cargo tests without DPDK" cargo test -p pfplane -p pfplane-demo --no-default-features --no-fail-fast \
        -- --show-output
    if can_have_dpdk; then
        tests "cargo tests with DPDK" cargo test --workspace --no-fail-fast -- --show-output
    else
        skip "cargo tests with DPDK: needs root once for: apt-get install ${dpdk_build[*]}"
    fi
}

# Files of tests/ that belong to a room although their names begin otherwise.
prefixes_of() {
    case $1 in
    state) echo 'state tcp' ;;
    *) echo "$1" ;;
    esac
}

belongs_to() {
    local file=$1 prefix
    for prefix in $(prefixes_of "$2"); do
        case $file in "$prefix" | "$prefix"_*) return 0 ;; esac
    done
    return 1
}

# test_part NAME [FILTER...]: unit tests of the room NAME and the files of tests/ that belong to it.
test_part() {
    local name=$1 features=(--no-default-features) file known=no
    shift
    if [ "$name" = mbuf ]; then
        need "${dpdk_build[@]}"
        features=()
    fi
    if [ -d "src/$name" ]; then
        known=yes
        tests "$name: unit tests" cargo test -p pfplane "${features[@]}" --lib -- "$name::" "$@"
    fi
    for file in $(test_files); do
        belongs_to "$file" "$name" || continue
        known=yes
        tests "$file" cargo test -p pfplane "${features[@]}" --test "$file" -- --show-output "$@"
    done
    [ "$known" = yes ] || die "there is no part '$name'; there are: $(part_names)"
    [ $((passed + failed)) -gt 0 ] || die "the part '$name' holds no test"
}
