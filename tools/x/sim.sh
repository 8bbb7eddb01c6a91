# shellcheck shell=bash
# The cluster simulator: seeds in virtual time, optimised.

command_sim() {
    need_rust
    can_have gcc || die "a C compiler is missing; as root: apt-get install gcc"
    if [ "${1:-}" = --mutations ]; then
        shift
        command_mutations "$@"
        return
    fi
    must "build the simulator" cargo build --release -p pfplane-sim
    exec target/release/pfplane-sim "$@"
}

# Two hundred seeds of whatever may go wrong, within ./x test.
test_seeds() {
    step "simulator, optimised" cargo build --release -p pfplane-sim
    step "cluster simulator: 200 seeds hold" target/release/pfplane-sim --seeds 200
}
