# shellcheck shell=bash
# ./x test real-tcp: Linux TCP through the example firewall over a bad network.

test_real_tcp() {
    need pkg-config gcc make libdpdk-dev libclang-dev clang iproute2 ethtool procps
    must "build the library and the tool" cargo build --release -p pfplane -p pfplane-real-tcp
    must "build the firewall" make -C c-examples ha-firewall
    exec target/release/pfplane-real-tcp "$@"
}
