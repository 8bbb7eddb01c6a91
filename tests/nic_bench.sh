#!/usr/bin/env bash
# c-examples/nic-bench on ports that need no NIC: packets arrive, all pass, all mbufs are returned. No rate is asserted.
#
# NIC_BENCH: the program (default c-examples/build/nic-bench). Without the right to create a network namespace, af_packet is skipped.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

program=$(readlink -f "${NIC_BENCH:-c-examples/build/nic-bench}")
space=pfp-nic-$$
work=$(mktemp -d)
trap 'ip netns del "$space" 2>/dev/null || true; rm -rf "$work"' EXIT
# DPDK puts its sockets here.
export XDG_RUNTIME_DIR=$work
eal=(-l 0 --no-huge -m 256 --no-pci --file-prefix "$space" --log-level=error)

fail() {
    echo "$1:"
    cat "$work/out"
    exit 1
}

# run NAME EAL-OPTIONS -- OPTIONS: the program exits with 0 and reports that packets passed.
run() {
    local name=$1
    shift
    timeout 60 "${prefix[@]}" "$program" "${eal[@]}" "$@" --seconds 1 >"$work/out" 2>&1 || fail "$name: exit status $?"
    echo "$name: $(grep '^lane 0' "$work/out")"
}

passes() { grep -Eq '^lane 0: .* [1-9][0-9]* passed, 0 dropped, 0 of other lanes' "$work/out" || fail "$1: not all pass"; }

# refused NAME STATUS TEXT ARGUMENTS: the program exits with the status and says why.
refused() {
    local name=$1 status=$2 text=$3 given=0
    shift 3
    timeout 60 "$program" "${eal[@]}" "$@" >"$work/out" 2>&1 || given=$?
    [ "$given" = "$status" ] && grep -q "$text" "$work/out" || fail "$name: exit status $given"
}

prefix=()
"$program" --help | grep -q -- --generate
for options in "" "--ipv6" "--udp" "--udp --ipv6" "--burst 256" "--forward --burst 1"; do
    # shellcheck disable=SC2086
    run "ring $options" --vdev net_ring0 -- --generate 0 --flows 1000 $options
    passes "ring $options"
done
run "null" --vdev net_null0,size=60 --
grep -Eq ' [1-9][0-9]* received, 0 passed' "$work/out" || fail "null: nothing arrives, or empty frames pass"

refused "no such port" 2 "there is no such port" --vdev net_null0 -- --ports 3
refused "no port" 2 "DPDK found no port" --
refused "no number" 2 "not a number from 1 to 256" --vdev net_null0 -- --burst 0
refused "a stray word" 2 "is not an option" --vdev net_null0 -- word
refused "too few states" 1 "is --states large enough" --vdev net_ring0 -- --generate 0 --flows 100 --states 10

if ip netns add "$space" 2>/dev/null; then
    in_space=(ip netns exec "$space")
    # The kernel's own multicast reports have IP options, which the library drops.
    "${in_space[@]}" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
    "${in_space[@]}" ip link add pfpa type veth peer name pfpb
    "${in_space[@]}" ip link set pfpa up
    "${in_space[@]}" ip link set pfpb up
    prefix=("${in_space[@]}")
    run "af_packet" --vdev net_af_packet0,iface=pfpa --vdev net_af_packet1,iface=pfpb -- --ports 1 --generate 0 --flows 1000
    grep -Eq ' [1-9][0-9]* passed, 0 dropped' "$work/out" || fail "af_packet: nothing passes"
else
    echo "af_packet: skipped, no right to create a network namespace"
fi
