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

# The seeds that ./x test runs.
test_seeds() {
    step "simulator: build" cargo build --release -p pfplane-sim
    step "simulator: 200 seeds pass" target/release/pfplane-sim --seeds 200
}
