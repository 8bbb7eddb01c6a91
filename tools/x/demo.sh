# shellcheck shell=bash
# ./x demo: builds the library, the firewall and the demonstration, and runs it.

command_demo() {
    need_rust
    need pkg-config gcc make libdpdk-dev libclang-dev clang iproute2 ethtool tcpdump procps python3
    must "build the library and the demonstration" cargo build --release -p pfplane -p pfplane-demo
    must "build the firewall" make -C c-examples ha-firewall
    exec target/release/pfplane-demo "$@"
}
