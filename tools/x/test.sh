# shellcheck shell=bash
# The tests. A part is a room of src/, a file of tests/ or one of the extra parts below.

extra_parts=(header-compiles examples wireshark real-tcp sim ring-loom)

rooms() { find src -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort; }
test_files() { find tests -maxdepth 1 -name '*.rs' -printf '%f\n' 2>/dev/null | sed 's/\.rs$//' | sort; }
part_names() { { rooms && test_files && printf '%s\n' "${extra_parts[@]}"; } | sort -u | xargs; }

command_test() {
    need_rust
    can_have gcc || die "a C compiler is missing; as root: apt-get install gcc"
    note "${bold}test ${1:-(everything)}${plain}"
    case ${1:-} in
    '') test_everything ;;
    header-compiles) test_header_compiles ;;
    examples) test_examples ;;
    wireshark) need tshark && test_wireshark ;;
    sim) test_seeds ;;
    ring-loom) test_ring_loom ;;
    real-tcp) shift && test_real_tcp "$@" ;;
    *) test_part "$@" ;;
    esac
    totals
}

test_everything() {
    local files
    tests "cargo tests without DPDK" cargo test -p pfplane --no-default-features --no-fail-fast \
        -- --show-output
    if can_have_dpdk; then
        mapfile -t files < <(files_that_meet_dpdk)
        tests "unit tests with DPDK" cargo test -p pfplane --lib "${files[@]}" --no-fail-fast -- --show-output
        tests "tests of the tools" cargo test --workspace --exclude pfplane --exclude pfplane-ring-loom \
            --no-fail-fast --tests -- --show-output
    else
        skip "cargo tests with DPDK: needs root once for: apt-get install ${dpdk_build[*]}"
    fi
    test_ring_loom
    test_seeds
    test_header_compiles
    test_examples
    if is_here tshark; then
        test_wireshark
    else
        skip "the Wireshark dissector: tshark is not installed; ./x test wireshark installs it"
    fi
}

# The files of tests/ that go through lanes, engine or the C door, as --test arguments. The rooms below them are the same
# with and without DPDK and were tested just before.
files_that_meet_dpdk() {
    local file
    for file in $(test_files); do
        case $file in
        packet_* | tcp_* | wire_* | tree | header*) ;;
        *) printf '%s\n' --test "$file" ;;
        esac
    done
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

c_warnings=(-Wall -Wextra -Wpedantic -Werror -Wconversion -Wsign-conversion -Wshadow -Wundef -Wcast-align
    -Wwrite-strings -Wstrict-prototypes -Wmissing-prototypes)
cpp_warnings=(-Wall -Wextra -Wpedantic -Werror -Wconversion -Wsign-conversion -Wshadow -Wundef -Wcast-align
    -Wold-style-cast -Wnon-virtual-dtor)

# The header alone, twice in one file, as C11 and C++17, by gcc and clang, without DPDK's headers in reach.
test_header_compiles() {
    local directory=target/x/header compiler
    can_have gcc g++ clang || { skip "the header's compile tests: need gcc, g++ and clang" && return; }
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
    step "the C of README.md" gcc -std=c11 "${c_warnings[@]}" -Iinclude -c "$directory/readme.c" -o "$directory/readme.o"
}

# README's lines inside the function of a host, whose own parts and DPDK's are declared only.
readme_host() {
    cat <<'TEXT'
#include "pfplane.h"
uint16_t rte_eth_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
void rte_pktmbuf_free(struct rte_mbuf *mbuf);
bool rules_pass(struct rte_mbuf *mbuf);
void forward(struct rte_mbuf *mbuf);
void send_on_sync_port(struct rte_mbuf **frames, uint32_t count);
void host(pfplane_lane *lane, struct rte_mempool *pool, uint16_t inside, uint16_t queue, uint64_t now_ns);
void host(pfplane_lane *lane, struct rte_mempool *pool, uint16_t inside, uint16_t queue, uint64_t now_ns)
{
struct rte_mbuf *mbufs[32], *frames[32];
struct pfplane_verdict verdicts[32];
TEXT
    sed -n '/^```c$/,/^```$/{/^```/!p}' README.md
    echo '}'
}

# What the tests in namespaces call.
network_tools=(iproute2 iputils-ping ethtool procps python3)

# The examples are the C door's test: with AddressSanitizer.
test_examples() {
    can_have gcc make || { skip "the C examples: need gcc and make" && return; }
    step "library for the examples without DPDK" \
        cargo build --release -p pfplane --no-default-features --target-dir target/core
    step "minimal example, built with sanitizers" make -C c-examples minimal SANITIZE=1 BUILD=build/sanitize
    step "minimal example runs" c-examples/build/sanitize/minimal
    step "frame-convert, built with sanitizers" make -C c-examples frame-convert SANITIZE=1 BUILD=build/sanitize
    step "frame-convert makes frames of FreeBSD out of OpenBSD's" c-examples/build/sanitize/frame-convert \
        openbsd6 freebsd1400 tests/vectors/openbsd/gen/mixed.pcap target/converted.pcap
    step "store, built with sanitizers" make -C c-examples store SANITIZE=1 BUILD=build/sanitize
    step "store replicates a map of the program's own" c-examples/build/sanitize/store
    if can_have_dpdk && can_have "${network_tools[@]}"; then
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

# The rings between lanes in every order of their two ends; optimised, or it takes minutes.
test_ring_loom() {
    tests "rings between lanes under loom" cargo test --release -p pfplane-ring-loom --no-fail-fast -- --show-output
}

test_wireshark() { step "the Wireshark dissector" tests/wireshark.sh; }

header_includes_only_standard() {
    local names
    names=$(sed -n 's/^#include *[<"]\(.*\)[>"].*/\1/p' include/pfplane.h | sort | xargs)
    echo "includes: $names"
    [ "$names" = "stdbool.h stddef.h stdint.h" ]
}


