# shellcheck shell=bash
# Rows with keepalived.

# keepalived HOST LOG PRIORITY [OPTION-V4 [OPTION-V6]]: VRRP version 3 every 100 ms, with another line for each family.
keepalived_on() {
    local n=$1 log=$2 priority=$3 v4=${4:-} v6=${5:-${4:-}}
    cat >"$work/keepalived.conf" <<TEXT
global_defs {
    router_id test
    vrrp_version 3
}
vrrp_instance v4 {
    interface eth0
    state BACKUP
    virtual_router_id 7
    priority $priority
    advert_int 0.1
    $v4
    virtual_ipaddress {
        10.77.0.100/24
    }
}
vrrp_instance v6 {
    interface eth0
    state BACKUP
    virtual_router_id 7
    priority $priority
    advert_int 0.1
    $v6
    virtual_ipaddress {
        fe80::100/64
        2001:db8:77::100/64
    }
}
TEXT
    on "$n" "$log" keepalived -n -l -D -P -f "$work/keepalived.conf" -p "$work/k.pid" -r "$work/kv.pid"
}

keepalived_yields_and_takes_over() {
    # shellcheck disable=SC2046
    ours 1 a --priority 200 --interval-ms 100 $(members 1)
    local first=$started
    within 3 a 'backup -> master' || return 1
    keepalived_on 2 k 100
    sleep 2
    without k 'Entering MASTER' && without a 'conflict|other RFC|addresses differ|master ->' || return 1
    kill -KILL "$first"
    within 2 k '\(v4\) Entering MASTER' && within 2 k '\(v6\) Entering MASTER'
}

keepalived_is_replaced_when_it_dies() {
    keepalived_on 2 k 200
    local first=$started
    within 5 k '\(v4\) Entering MASTER' && within 5 k '\(v6\) Entering MASTER' || return 1
    # shellcheck disable=SC2046
    ours 1 a --priority 100 --interval-ms 100 $(members 1)
    sleep 1
    without a '-> master' || return 1
    # Its child sends the farewell that a dead machine does not: stop the parent first, then kill both.
    kill -STOP "$first"
    pkill -KILL -P "$first"
    kill -KILL "$first"
    within 2 a 'role backup -> master: (silence|farewell)'
}

keepalived_is_preempted() {
    keepalived_on 2 k 100
    within 5 k '\(v4\) Entering MASTER' && within 5 k '\(v6\) Entering MASTER' || return 1
    # shellcheck disable=SC2046
    ours 1 a --priority 200 --interval-ms 100 --preempt $(members 1)
    within 3 a 'backup -> master: preemption' && within 3 k '\(v4\) Entering BACKUP STATE$' && within 3 k '\(v6\) Entering BACKUP STATE$'
}

keepalived_farewell() {
    # shellcheck disable=SC2046
    ours 1 a --priority 200 --interval-ms 100 $(members 1)
    local first=$started
    within 3 a 'backup -> master' || return 1
    keepalived_on 2 k 100
    sleep 1
    kill -TERM "$first"
    within 1 k '\(v4\) Entering MASTER'
}

keepalived_with_the_other_checksum() {
    keepalived_on 2 k 200
    within 5 k '\(v4\) Entering MASTER' || return 1
    ours 1 a --priority 100 --interval-ms 100 --rfc9568-checksum --member eth0,10.77.0.1,10.77.0.100
    within 3 a 'checksum of the other RFC, member 0, source 10.77.0.2'
}

keepalived_with_other_addresses() {
    keepalived_on 2 k 200
    within 5 k '\(v4\) Entering MASTER' || return 1
    ours 1 a --priority 100 --interval-ms 100 --member eth0,10.77.0.1,10.77.0.101
    within 3 a 'addresses differ, member 0, source 10.77.0.2' || return 1
    end_all
    keepalived_on 2 k2 200
    within 5 k2 '\(v4\) Entering MASTER' || return 1
    ours 1 a2 --priority 100 --interval-ms 100 --any-addresses --member eth0,10.77.0.1,10.77.0.101
    sleep 1
    without a2 '-> master'
}

keepalived_leaves() {
    keepalived_on 2 k 200
    local first=$started
    within 5 k '\(v4\) Entering MASTER' && within 5 k '\(v6\) Entering MASTER' || return 1
    # shellcheck disable=SC2046
    ours 1 a --priority 100 --interval-ms 100 $(members 1)
    sleep 1
    kill -TERM "$first"
    within 1 a 'role backup -> master: farewell'
}

# keepalived BETTER: both are master while host 2 is cut off. Ours has priority 150.
part_from_keepalived() {
    # shellcheck disable=SC2046
    ours 1 a --priority 150 --interval-ms 100 $(members 1)
    keepalived_on 2 k "$1"
    sleep 2
    cut_off 2
    within 3 a 'backup -> master' && within 3 k '\(v4\) Entering MASTER' &&
        within 3 k '\(v6\) Entering MASTER' && sleep 0.5
}

keepalived_yields_after_a_partition() {
    part_from_keepalived 100 || return 1
    heal 2
    within 2 k '\(v4\) Entering BACKUP STATE$' && within 2 k '\(v6\) Entering BACKUP STATE$' && role a master
}

keepalived_stays_after_a_partition() {
    part_from_keepalived 200 || return 1
    heal 2
    within 2 a 'master -> backup: better master' && without k 'Entering BACKUP STATE$'
}

# With equal priorities the higher address stays: keepalived's.
keepalived_with_equal_priority() {
    part_from_keepalived 150 || return 1
    heal 2
    within 2 a 'equal priority, member' && within 2 a 'master -> backup: better master'
}

keepalived_with_virtual_macs() {
    # shellcheck disable=SC2046
    ours 1 a --priority 200 --interval-ms 100 $(members 1)
    local first=$started
    within 3 a 'backup -> master' || return 1
    keepalived_on 2 k 100 use_vmac
    sleep 2
    without k 'Entering MASTER' && without a 'conflict|refused|master ->' || return 1
    kill -KILL "$first"
    within 2 k '\(v4\) Entering MASTER' && within 2 k '\(v6\) Entering MASTER'
}

keepalived_by_unicast() {
    # eth0 has another link-local address too, and over IPv6 keepalived's unicast has a hop limit of 64 unless set otherwise.
    keepalived_on 2 k 200 'unicast_peer { 10.77.0.1 }' \
        $'unicast_src_ip fe80::2\n unicast_ttl 255\n unicast_peer { fe80::1 }'
    local first=$started
    within 5 k '\(v4\) Entering MASTER' && within 5 k '\(v6\) Entering MASTER' || return 1
    # shellcheck disable=SC2046
    ours 1 a --priority 100 --interval-ms 100 --peer 10.77.0.2 --peer fe80::2 $(members 1)
    sleep 1.5
    without a '-> master|wrong mode|refused' || return 1
    kill -TERM "$first"
    within 1 a 'role backup -> master: farewell'
}

rows_of_keepalived() {
    row "keepalived yields to us, and takes over when we die" keepalived_yields_and_takes_over
    row "we yield to keepalived, and take over when it dies" keepalived_is_replaced_when_it_dies
    row "we preempt keepalived" keepalived_is_preempted
    row "keepalived takes our farewell" keepalived_farewell
    row "we take keepalived's farewell" keepalived_leaves
    row "keepalived yields to us after a partition" keepalived_yields_after_a_partition
    row "we yield to keepalived after a partition" keepalived_stays_after_a_partition
    row "keepalived with our priority and a higher address stays, and is reported" keepalived_with_equal_priority
    row "keepalived with virtual MAC addresses yields to us, and takes over" keepalived_with_virtual_macs
    row "keepalived by unicast, both families" keepalived_by_unicast
    row "keepalived with the checksum of the other RFC is refused and reported" keepalived_with_the_other_checksum
    row "keepalived with other addresses is refused and reported, or accepted by option" keepalived_with_other_addresses
}
