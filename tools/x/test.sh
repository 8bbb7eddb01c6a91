# shellcheck shell=bash
# The tests. A part is a module of src/, a test crate in tests/, the pfsync crate or one of the extra parts below.

extra_parts=(arm pfsync tools header-compiles examples wireshark election real-tcp sim ring-loom vpp docs)

modules() { find src -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort; }

# Integration tests: each folder of tests/ that holds a main.rs is a crate.
test_crates() { find tests -mindepth 2 -maxdepth 2 -name main.rs -printf '%h\n' | sed 's#^tests/##' | sort; }

part_names() { { modules && test_crates && printf '%s\n' "${extra_parts[@]}"; } | sort -u | xargs; }

command_test() {
    need_rust
    ensure_packages gcc || die "a C compiler is missing; as root: apt-get install gcc"
    note "${bold}test ${1:-(all)}${plain}"
    case ${1:-} in
    '') test_all ;;
    arm) shift && test_arm "$@" ;;
    pfsync) shift && tests "pfsync" cargo test -p pfsync -- --show-output "$@" ;;
    tools) need "${dpdk_build[@]}" && test_tools ;;
    header-compiles) test_header_compiles ;;
    examples) test_examples ;;
    wireshark) need tshark && test_wireshark ;;
    election) test_election ;;
    sim) test_seeds ;;
    ring-loom) test_ring_loom ;;
    real-tcp) shift && test_real_tcp "$@" ;;
    vpp) shift && test_vpp "$@" ;;
    docs) test_docs ;;
    *) test_part "$@" ;;
    esac
    totals
}

test_all() {
    tests "pfsync" cargo test -p pfsync --no-fail-fast -- --show-output
    tests "pfplane without DPDK" cargo test -p pfplane --no-default-features --no-fail-fast -- --show-output
    tests "simulator and test kit" cargo test -p pfplane-sim -p pfplane-testkit --no-fail-fast -- --show-output
    if ensure_dpdk; then
        tests "pfplane with DPDK" cargo test -p pfplane --lib --test c_api --no-fail-fast -- --show-output
        test_tools
    else
        skip "the tests with DPDK: as root, apt-get install ${dpdk_build[*]}"
    fi
    test_ring_loom
    test_seeds
    test_header_compiles
    test_examples
    test_vpp
    if is_installed tshark; then
        test_wireshark
    else
        skip "the Wireshark dissector: tshark is not installed; ./x test wireshark installs it"
    fi
}

test_tools() {
    tests "tools" cargo test --workspace --exclude pfplane --exclude pfsync --exclude pfplane-ring-loom \
        --exclude pfplane-sim --exclude pfplane-testkit --no-fail-fast --tests -- --show-output
}

# Test crates that belong to a module under another name.
crates_of() {
    case $1 in
    state) echo tcp ;;
    ffi) echo c_api header ;;
    *) echo "$1" ;;
    esac
}

# test_part NAME [FILTER...]: the unit tests of module NAME and the test crates that belong to it.
test_part() {
    local name=$1 features=(--no-default-features) profile=() crate known=no
    shift
    if [ "$name" = mbuf ]; then
        need "${dpdk_build[@]}"
        features=()
    fi
    if [ -d "src/$name" ]; then
        known=yes
        tests "$name: unit tests" cargo test -p pfplane "${features[@]}" --lib -- "$name::" "$@"
    fi
    for crate in $(crates_of "$name"); do
        [ -f "tests/$crate/main.rs" ] || continue
        known=yes
        # What a call needs depends on the optimization.
        [ "$crate" != stack ] || profile=(--release)
        tests "tests/$crate" cargo test -p pfplane "${profile[@]}" "${features[@]}" --test "$crate" -- --show-output "$@"
    done
    [ "$known" = yes ] || die "unknown part '$name'; known: $(part_names)"
    [ $((passed + failed)) -gt 0 ] || die "no test of '$name' matches"
}

# The unit tests of both crates on an emulated aarch64 processor, whose hash, tag comparison and prefetch have code of their own.
test_arm() {
    local target=aarch64-unknown-linux-gnu variables=()
    ensure_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static ||
        { skip "aarch64: needs gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static" && return; }
    rustup target add "$target" >/dev/null 2>&1 || die "rustup cannot add the target $target"
    variables=(
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
    )
    tests "unit tests on aarch64" env "${variables[@]}" \
        cargo test -p pfsync -p pfplane --no-default-features --lib --target "$target" --no-fail-fast -- "$@"
}

# The examples in the documentation of the two crates.
test_docs() {
    tests "documentation of pfsync" cargo test -p pfsync --doc
    tests "documentation of pfplane" cargo test -p pfplane --no-default-features --doc
}

c_warnings=(-Wall -Wextra -Wpedantic -Werror -Wconversion -Wsign-conversion -Wshadow -Wundef -Wcast-align
    -Wwrite-strings -Wstrict-prototypes -Wmissing-prototypes)
cpp_warnings=(-Wall -Wextra -Wpedantic -Werror -Wconversion -Wsign-conversion -Wshadow -Wundef -Wcast-align
    -Wold-style-cast -Wnon-virtual-dtor)

# Compiles the header, included twice, as C11 and C++17 with gcc and clang, without DPDK's headers.
test_header_compiles() {
    local directory=target/x/header compiler
    ensure_packages gcc g++ clang || { skip "compiling the header: needs gcc, g++ and clang" && return; }
    mkdir -p "$directory"
    printf '#include "pfplane.h"\n#include "pfplane.h"\nint main(void) { return 0; }\n' >"$directory/c11.c"
    printf '#include "pfplane.h"\n#include "pfplane.h"\nint main() { return 0; }\n' >"$directory/cpp17.cpp"
    for compiler in gcc clang; do
        step "header as C11 with $compiler" \
            "$compiler" -std=c11 "${c_warnings[@]}" -Iinclude -c "$directory/c11.c" -o "$directory/c11.o"
    done
    for compiler in g++ clang++; do
        step "header as C++17 with $compiler" \
            "$compiler" -std=c++17 "${cpp_warnings[@]}" -Iinclude -c "$directory/cpp17.cpp" -o "$directory/cpp17.o"
    done
    step "header includes only stdint, stddef and stdbool" header_includes_only_standard
    readme_host >"$directory/readme.c"
    step "the C code of README.md" gcc -std=c11 "${c_warnings[@]}" -Iinclude -c "$directory/readme.c" -o "$directory/readme.o"
}

# README's C code inside a function, with declarations of what the host and DPDK provide.
readme_host() {
    cat <<'TEXT'
#include "pfplane.h"
uint16_t rte_eth_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
void rte_pktmbuf_free(struct rte_mbuf *mbuf);
void rte_pktmbuf_free_bulk(struct rte_mbuf **mbufs, unsigned int count);
void check(int32_t status);
bool rules_pass(struct rte_mbuf *mbuf);
void forward(struct rte_mbuf *mbuf);
void forward_held(const uint64_t *handles, uint32_t count);
void give_to_lane(uint32_t lane, struct rte_mbuf *mbuf);
void send_on_sync_port(struct rte_mbuf **frames, uint32_t count);
void turn(pfplane_lane *lane, struct rte_mempool *pool, uint16_t inside, uint16_t sync_port, uint16_t queue, uint64_t now_ns);
void turn(pfplane_lane *lane, struct rte_mempool *pool, uint16_t inside, uint16_t sync_port, uint16_t queue, uint64_t now_ns)
{
struct rte_mbuf *mbufs[32], *frames[32];
struct pfplane_verdict verdicts[32];
uint64_t held[32];
TEXT
    sed -n '/^```c$/,/^```$/{/^```/!p}' README.md
    echo '}'
}

# Programs that the tests in network namespaces call.
network_tools=(iproute2 iputils-ping ethtool procps python3)

# The C examples test the C API, built with AddressSanitizer.
test_examples() {
    ensure_packages gcc make || { skip "the C examples: need gcc and make" && return; }
    step "library for the examples without DPDK" \
        cargo build --release -p pfplane --no-default-features --target-dir target/core
    step "minimal example, built with sanitizers" make -C c-examples minimal SANITIZE=1 BUILD=build/sanitize
    step "minimal example runs" c-examples/build/sanitize/minimal
    step "frame-convert, built with sanitizers" make -C c-examples frame-convert SANITIZE=1 BUILD=build/sanitize
    step "frame-convert converts OpenBSD's frames to FreeBSD's" c-examples/build/sanitize/frame-convert \
        openbsd6 freebsd1400 tests/vectors/openbsd/gen/mixed.pcap target/converted.pcap
    step "store, built with sanitizers" make -C c-examples store SANITIZE=1 BUILD=build/sanitize
    step "store replicates the example's own map" c-examples/build/sanitize/store
    if ensure_dpdk && ensure_packages "${network_tools[@]}"; then
        step "library for the firewall" cargo build --release -p pfplane -p pfplane-demo
        step "firewall builds" make -C c-examples ha-firewall
        step "firewall builds with sanitizers" make -C c-examples ha-firewall SANITIZE=1 BUILD=build/sanitize
        step "firewall: rules, arguments, load, steering, network, both families" \
            env FIREWALL=c-examples/build/sanitize/ha-firewall tests/ha_firewall.sh
        step "dpdk-pair, built with sanitizers" make -C c-examples dpdk-pair SANITIZE=1 BUILD=build/sanitize
        step "dpdk-pair: connections of one firewall continue on the other" c-examples/build/sanitize/dpdk-pair \
            -l 0 --no-huge -m 256 --no-pci --file-prefix "pair-$$" --log-level=error -- --selftest
        step "nic-bench, built with sanitizers" make -C c-examples nic-bench SANITIZE=1 BUILD=build/sanitize
        step "nic-bench: ring, null and af_packet ports" \
            env NIC_BENCH=c-examples/build/sanitize/nic-bench tests/nic_bench.sh
    else
        skip "the firewall: needs ${dpdk_build[*]} ${network_tools[*]}"
    fi
}

# The model checker takes minutes without optimisation.
test_ring_loom() {
    tests "rings between lanes under loom" cargo test --release -p pfplane-ring-loom --no-fail-fast -- --show-output
}

# The example `elect` beside itself, keepalived, FRR and ucarp, as root. Their packages are installed where that is possible.
test_election() {
    [ "$(id -u)" = 0 ] || { skip "the election beside real routers: needs root" && return; }
    ensure_packages gcc make iproute2 procps || { skip "the election: needs gcc make iproute2 procps" && return; }
    ensure_optional keepalived ucarp frr || note "keepalived, ucarp and frr are not all installed: some rows are skipped"
    step "library for the examples without DPDK" \
        cargo build --release -p pfplane --no-default-features --target-dir target/core
    step "elect, built with sanitizers" make -C c-examples elect SANITIZE=1 BUILD=build/sanitize
    step "election beside real routers" env ELECT=c-examples/build/sanitize/elect tests/election.sh
}

test_wireshark() { step "the Wireshark dissector" tests/wireshark.sh; }

header_includes_only_standard() {
    local names
    names=$(sed -n 's/^#include *[<"]\(.*\)[>"].*/\1/p' include/pfplane.h | sort | xargs)
    echo "includes: $names"
    [ "$names" = "stdbool.h stddef.h stdint.h" ]
}
