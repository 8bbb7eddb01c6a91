# shellcheck shell=bash
# Rows with two of ours.

# pair INTERVAL_MS: host 1 becomes master ($master is its process id), host 2 backup.
pair() {
    # shellcheck disable=SC2046
    ours 1 a --priority 200 --interval-ms "$1" $(members 1)
    master=$started
    # shellcheck disable=SC2046
    ours 2 b --priority 100 --interval-ms "$1" $(members 2)
    within 3 a 'role backup -> master: silence' && without b 'master:' && sleep 0.5
}

pair_by_vrrp() {
    pair 100 || return 1
    kill -KILL "$master"
    within 2 b 'role backup -> master: silence'
}

pair_hands_over() {
    pair 100 || return 1
    kill -TERM "$master"
    within 1 b 'role backup -> master: farewell'
}

pair_after_a_stop() {
    pair 50 || return 1
    kill -STOP "$master"
    within 2 b 'role backup -> master: silence' || return 1
    sleep 1
    kill -CONT "$master"
    within 2 a 'role listen -> backup: better master' && without b 'master -> backup'
}

pair_by_carp() {
    echo secret >"$work/passphrase"
    local dialect
    for dialect in openbsd freebsd; do
        # shellcheck disable=SC2046
        ours 1 "a-$dialect" --dialect "$dialect" --priority 250 --passphrase-file "$work/passphrase" $(members 1)
        local first=$started
        # shellcheck disable=SC2046
        ours 2 "b-$dialect" --dialect "$dialect" --priority 240 --passphrase-file "$work/passphrase" $(members 2)
        within 5 "a-$dialect" 'backup -> master' && without "b-$dialect" 'master:' || return 1
        kill -KILL "$first"
        within 5 "b-$dialect" 'role backup -> master: silence' || return 1
        end_all
    done
}

pair_by_unicast() {
    # shellcheck disable=SC2046
    ours 1 a --priority 200 --interval-ms 100 --peer 10.77.0.2 --peer fe80::2 $(members 1)
    local first=$started
    # shellcheck disable=SC2046
    ours 2 b --priority 100 --interval-ms 100 --peer 10.77.0.1 --peer fe80::1 $(members 2)
    within 3 a 'role backup -> master: silence' || return 1
    sleep 1
    without b 'master:|wrong mode|refused' || return 1
    kill -KILL "$first"
    within 2 b 'role backup -> master: silence'
}

# One end multicast, the other unicast: both become master, and both report why.
pair_with_mixed_modes() {
    # shellcheck disable=SC2046
    ours 1 a --priority 200 --interval-ms 100 --peer 10.77.0.2 --peer fe80::2 $(members 1)
    # shellcheck disable=SC2046
    ours 2 b --priority 100 --interval-ms 100 $(members 2)
    within 3 a 'wrong mode, member 0, source 10.77.0.2' && within 3 b 'wrong mode, member 1, source fe80::1'
}

pair_after_a_partition() {
    pair 100 || return 1
    cut_off 2
    within 2 b 'role backup -> master: silence' || return 1
    sleep 0.5
    heal 2
    within 2 b 'role master -> backup: better master' && without a 'master -> backup' && within 2 a 'conflict, member'
}

# The better node is the one that was cut off: it keeps the role, the other one yields.
pair_after_the_master_was_cut_off() {
    pair 100 || return 1
    cut_off 1
    within 2 b 'role backup -> master: silence' || return 1
    heal 1
    within 2 b 'role master -> backup: better master' && role a master
}

pair_with_equal_priorities() {
    # shellcheck disable=SC2046
    ours 1 a --priority 100 --interval-ms 100 $(members 1)
    within 3 a 'backup -> master' || return 1
    # shellcheck disable=SC2046
    ours 2 b --priority 100 --interval-ms 100 $(members 2)
    within 2 b 'equal priority, member 0, source 10.77.0.1' && without b 'master:'
}

# The status of a backup and the event name both values.
pair_with_other_intervals() {
    # shellcheck disable=SC2046
    ours 1 a --priority 200 --interval-ms 100 $(members 1)
    within 3 a 'backup -> master' || return 1
    # shellcheck disable=SC2046
    ours 2 b --priority 100 --interval-ms 200 $(members 2)
    within 2 b 'interval differs \(100.0 ms, --interval-ms is 200.0\), member 0, source 10.77.0.1' && without b 'master:'
}

# refused LOG MESSAGE ARGUMENTS...: elect on host 1 ends with a message.
refused() {
    local log=$1 message=$2
    shift 2
    ours 1 "$log" "$@"
    within 3 "$log" "$message"
}

settings_that_are_refused() {
    local status=0
    printf '12345678901234567890\n' >"$work/long"
    ip -n "${hosts[0]}" link add bare type veth peer name bare-peer
    refused a 'pass-phrase is longer than 19 bytes' --dialect freebsd --passphrase-file "$work/long" --member eth0,10.77.0.1,10.77.0.100 &&
        refused b 'elect: --member bare,10.77.0.1: bare has no IPv4 address' --member bare,10.77.0.1,10.77.0.100 &&
        refused c 'elect: --member bare,fe80::1: bare has no IPv6 address' --member bare,fe80::1,fe80::100 &&
        refused d 'members\[1\]: own_address: another member has this port, VLAN and family' \
            --member eth0,10.77.0.1,10.77.0.100 --member eth0,10.77.0.9,10.77.0.101 &&
        refused e 'members\[1\]: addresses: 10.77.0.100 belongs to another member' \
            --member eth0,10.77.0.1,10.77.0.100 --member eth0,10.77.0.9,10.77.0.100 || status=1
    ip -n "${hosts[0]}" link del bare
    return $status
}

master_that_loses_its_addresses() {
    local status=0 host=${hosts[0]}
    pair 100 || return 1
    ip -n "$host" address del 10.77.0.1/24 dev eth0
    within 2 a 'eth0 has no IPv4 address any more' && within 2 a 'master -> init: fault' && within 2 b 'backup -> master' || status=1
    ip -n "$host" address add 10.77.0.1/24 dev eth0
    [ "$status" = 0 ] && within 2 a 'init -> backup' && role b master
}

backup_without_its_witness() {
    local witness
    for witness in 10.77.0.254 2001:db8:77::254; do
        # shellcheck disable=SC2046
        ours 1 "a-$witness" --priority 200 --interval-ms 100 --witness "$witness" $(members 1)
        within 3 "a-$witness" 'backup -> master' || return 1
        # shellcheck disable=SC2046
        ours 2 "b-$witness" --priority 100 --interval-ms 100 --witness "$witness" $(members 2)
        within 3 "b-$witness" 'init -> backup' && sleep 0.5
        cut_off 2
        within 3 "b-$witness" '-> init: isolated' && sleep 1 && role "b-$witness" init && role "a-$witness" master || return 1
        heal 2
        within 3 "b-$witness" 'init -> backup: reachable' && sleep 1 && role "b-$witness" backup && role "a-$witness" master || return 1
        end_all
    done
}

master_without_its_witness() {
    # shellcheck disable=SC2046
    ours 1 a --priority 200 --interval-ms 100 --witness 10.77.0.254 $(members 1)
    within 3 a 'backup -> master' || return 1
    # shellcheck disable=SC2046
    ours 2 b --priority 100 --interval-ms 100 --witness 10.77.0.254 $(members 2)
    within 3 b 'init -> backup' && sleep 0.5
    cut_off 1
    within 3 a 'master -> init: isolated' && within 3 b 'backup -> master: silence' || return 1
    heal 1
    within 3 a 'init -> backup: reachable' && sleep 1 && role a backup && role b master
}

rows_of_ours() {
    row "two of ours by VRRP: the backup takes over from a killed master" pair_by_vrrp
    row "two of ours: a farewell hands over" pair_hands_over
    row "two of ours: a master that was stopped does not come back as one" pair_after_a_stop
    row "two of ours by CARP, OpenBSD's and FreeBSD's rules" pair_by_carp
    row "two of ours by unicast, both families" pair_by_unicast
    row "two of ours, one by unicast and one by multicast, report it" pair_with_mixed_modes
    row "two of ours after a partition: the backup yields, the master reports the conflict" pair_after_a_partition
    row "two of ours after the master was cut off: it stays, the other one yields" pair_after_the_master_was_cut_off
    row "two of ours with equal priorities are warned of" pair_with_equal_priorities
    row "two of ours with other intervals report both values" pair_with_other_intervals
    row "settings that cannot work are refused by name" settings_that_are_refused
    row "a master whose interface loses its addresses of a family hands over" master_that_loses_its_addresses
    row "a backup that reaches neither master nor witness does not take over, both families" backup_without_its_witness
    row "a master that does not reach its witness steps down, and the backup takes over" master_without_its_witness
}
