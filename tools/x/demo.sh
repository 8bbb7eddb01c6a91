# shellcheck shell=bash
# ./x demo: builds the library, the firewall and the demonstration, and runs it.

command_demo() {
    need_rust
    if [ "${1:-}" = --vpp ]; then
        shift && demo_vpp "$@"
        return
    fi
    need pkg-config gcc make libdpdk-dev libclang-dev clang iproute2 ethtool tcpdump procps python3
    # The packages that `./x test election` uses too. Without one the demonstration says which is missing.
    local peer
    peer=$(peer_named "$@")
    case $peer in
    keepalived | ucarp) ensure_optional "$peer" || note "$peer is not installed" ;;
    esac
    must "build the library and the demonstration" cargo build --release -p pfplane -p pfplane-demo
    must "build the firewall" make -C c-examples ha-firewall
    # A dataplane has cores of its own. Here it shares them, so the demonstration runs before the machine's other programs: a
    # master that does not run for 20 ms has lost its role at 10 ms between adverts.
    local first=()
    chrt --rr 1 true 2>/dev/null && first=(chrt --rr 1)
    exec "${first[@]}" target/release/pfplane-demo "$@"
}

# peer_named ARGUMENTS...: the value of --peer.
peer_named() {
    while [ $# -gt 0 ]; do
        case $1 in
        --peer) echo "${2:-}" ;;
        --peer=*) echo "${1#--peer=}" ;;
        esac
        shift
    done
}
