# shellcheck shell=bash
# Rows with FRR's vrrpd. Over IPv6 it lists the global address only.

frr=/usr/lib/frr

frr_members() { echo --member "eth0,10.77.0.$1,10.77.0.100" --member "eth0,fe80::$1,2001:db8:77::100"; }

# frr_interface HOST NAME MAC ADDRESS: what vrrpd looks for: an interface with the virtual MAC address.
frr_interface() {
    local host=${hosts[$1 - 1]}
    ip -n "$host" link add "$2" link eth0 type macvlan mode bridge
    ip -n "$host" link set "$2" address "$3"
    ip netns exec "$host" sysctl -qw "net.ipv6.conf.$2.accept_dad=0"
    ip -n "$host" address add "$4" dev "$2"
    ip -n "$host" link set "$2" up
}

# frr_on HOST LOG PRIORITY [LINE]: VRRP version 3 every 100 ms. $started is vrrpd.
frr_on() {
    local n=$1 log=$2
    local options=(-u frr -g frr -z "$work/z.sock" --vty_socket "$work" -A 127.0.0.1 -P 0 --log stdout)
    cat >"$work/frr.conf" <<TEXT
debug vrrp protocol
interface eth0
 vrrp 7 version 3
 vrrp 7 priority $3
 vrrp 7 advertisement-interval 100
 vrrp 7 ip 10.77.0.100
 vrrp 7 ipv6 2001:db8:77::100
 ${4:-}
TEXT
    chmod 777 "$work"
    frr_interface "$n" vrrp4-7 00:00:5e:00:01:07 10.77.0.100/24
    frr_interface "$n" vrrp6-7 00:00:5e:00:02:07 2001:db8:77::100/64
    on "$n" zebra "$frr/zebra" "${options[@]}" -i "$work/zebra.pid"
    for _ in {1..200}; do
        [ ! -S "$work/z.sock" ] || break
        sleep 0.02
    done
    on "$n" "$log" "$frr/vrrpd" "${options[@]}" -i "$work/vrrpd.pid" -f "$work/frr.conf"
}

frr_is_master() { within 6 "$1" '\[IPv4\] [A-Za-z]* -> Master' && within 6 "$1" '\[IPv6\] [A-Za-z]* -> Master'; }
frr_is_backup() { within 4 "$1" '\[IPv4\] Master -> Backup' && within 4 "$1" '\[IPv6\] Master -> Backup'; }

frr_yields_and_takes_over() {
    # shellcheck disable=SC2046
    ours 1 a --priority 200 --interval-ms 100 $(frr_members 1)
    local first=$started
    within 3 a 'backup -> master' || return 1
    frr_on 2 f 100
    within 5 f '\[IPv6\] Received VRRP Advertisement from fe80::1' && sleep 1
    without f '-> Master|Datagram invalid' && without a 'conflict|refused|differ|master ->' || return 1
    kill -KILL "$first"
    frr_is_master f
}

frr_is_replaced_when_it_dies() {
    frr_on 2 f 200
    local first=$started
    frr_is_master f || return 1
    # shellcheck disable=SC2046
    ours 1 a --priority 100 --interval-ms 100 $(frr_members 1)
    sleep 1
    without a '-> master|refused|differ' || return 1
    kill -KILL "$first"
    within 2 a 'role backup -> master: silence'
}

frr_is_preempted() {
    frr_on 2 f 100
    frr_is_master f || return 1
    # shellcheck disable=SC2046
    ours 1 a --priority 200 --interval-ms 100 --preempt $(frr_members 1)
    within 3 a 'backup -> master: preemption' && frr_is_backup f
}

frr_takes_our_farewell() {
    # shellcheck disable=SC2046
    ours 1 a --priority 200 --interval-ms 100 $(frr_members 1)
    local first=$started
    within 3 a 'backup -> master' || return 1
    frr_on 2 f 100
    within 5 f '\[IPv6\] Received VRRP Advertisement from fe80::1' || return 1
    kill -TERM "$first"
    frr_is_master f
}

frr_leaves() {
    frr_on 2 f 200
    local first=$started
    frr_is_master f || return 1
    # shellcheck disable=SC2046
    ours 1 a --priority 100 --interval-ms 100 $(frr_members 1)
    sleep 1
    kill -TERM "$first"
    within 2 a 'role backup -> master: farewell'
}

frr_after_a_partition() {
    # shellcheck disable=SC2046
    ours 1 a --priority 200 --interval-ms 100 $(frr_members 1)
    within 3 a 'backup -> master' || return 1
    frr_on 2 f 100
    within 5 f '\[IPv6\] Received VRRP Advertisement from fe80::1' || return 1
    cut_off 2
    frr_is_master f || return 1
    heal 2
    frr_is_backup f && role a master
}

frr_with_the_other_checksum() {
    frr_on 2 f 200
    frr_is_master f || return 1
    ours 1 a --priority 100 --interval-ms 100 --rfc9568-checksum --member eth0,10.77.0.1,10.77.0.100
    within 3 a 'checksum of the other RFC, member 0, source 10.77.0.2'
}

frr_with_other_addresses() {
    frr_on 2 f 200 'vrrp 7 ip 10.77.0.101'
    frr_is_master f || return 1
    # shellcheck disable=SC2046
    ours 1 a --priority 100 --interval-ms 100 $(frr_members 1)
    within 3 a 'addresses differ, member 0, source 10.77.0.2'
}

rows_of_frr() {
    row "FRR yields to us, and takes over when we die" frr_yields_and_takes_over
    row "we yield to FRR, and take over when it dies" frr_is_replaced_when_it_dies
    row "we preempt FRR" frr_is_preempted
    row "FRR takes our farewell" frr_takes_our_farewell
    row "we take FRR's farewell" frr_leaves
    row "FRR yields to us after a partition" frr_after_a_partition
    row "FRR with the checksum of the other RFC is refused and reported" frr_with_the_other_checksum
    row "FRR with other addresses is refused and reported" frr_with_other_addresses
}
