# shellcheck shell=bash
# The cluster simulator.

command_sim() {
    need_rust
    ensure_packages gcc || die "a C compiler is missing; as root: apt-get install gcc"
    if [ "${1:-}" = --mutations ]; then
        shift
        command_mutations "$@"
        return
    fi
    must "build the simulator" cargo build --release -p pfplane-sim
    exec target/release/pfplane-sim "$@"
}

# soak [--minutes N]: one simulated cluster under load and faults. Its memory must not grow, its counters must not fall.
command_soak() {
    local minutes=10
    case ${1:-} in
    '') ;;
    --minutes) minutes=${2:-} && shift ;;
    *) die "unknown argument '$1'; usage: ./x soak [--minutes N]" ;;
    esac
    [[ $minutes =~ ^[1-9][0-9]*$ ]] || die "--minutes needs a number"
    need_rust
    ensure_packages gcc || die "a C compiler is missing; as root: apt-get install gcc"
    must "build the simulator" cargo build --release -p pfplane-sim
    exec target/release/pfplane-sim --soak "$minutes" --first "$(date +%s)"
}

# The seeds that ./x test runs.
test_seeds() {
    step "simulator: build" cargo build --release -p pfplane-sim
    step "simulator: 200 seeds pass" target/release/pfplane-sim --seeds 200
}
