#!/usr/bin/env bash
# The election beside real routers: two of ours, keepalived (VRRP) and ucarp (CARP), in network namespaces on one bridge.
# Needs root. A peer that is not installed is named as skipped. The last line sums up.
set -uo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." || exit 1

elect=$(readlink -f "${ELECT:-c-examples/build/elect}")
work=$(mktemp -d)
lan=pfel-lan-$$
hosts=("pfel-a-$$" "pfel-b-$$")
pids=()
passed=0
failed=0

clean_up() {
    end_all
    for name in "${hosts[@]}" "$lan"; do ip netns del "$name" 2>/dev/null; done
    rm -rf "$work"
}
trap clean_up EXIT

end_all() {
    local pid
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    for pid in "${pids[@]}"; do
        while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
    done
    pids=()
}

# One bridge without snooping; host n has 10.77.0.n and fe80::n on eth0.
build_lan() {
    ip netns add "$lan"
    ip -n "$lan" link add bridge type bridge mcast_snooping 0
    ip -n "$lan" link set bridge up
    local n
    for n in 1 2; do
        local host=${hosts[n - 1]}
        ip netns add "$host"
        ip -n "$host" link add eth0 type veth peer name "p$n" netns "$lan"
        ip -n "$lan" link set "p$n" master bridge up
        ip netns exec "$host" sysctl -qw net.ipv6.conf.eth0.accept_dad=0
        ip -n "$host" link set lo up
        ip -n "$host" link set eth0 up
        ip -n "$host" address add "10.77.0.$n/24" dev eth0
        ip -n "$host" address add "fe80::$n/64" dev eth0
    done
}

# on HOST LOG COMMAND...: starts a command in a namespace. Its process id is in $started.
on() {
    local host=${hosts[$1 - 1]} log=$work/$2
    shift 2
    ip netns exec "$host" "$@" >"$log" 2>&1 &
    started=$!
    pids+=("$started")
    disown "$started"
}

# ours HOST LOG ARGUMENTS...
ours() {
    local host=$1 log=$2
    shift 2
    on "$host" "$log" "$elect" --id 7 "$@"
}

members() { echo --member "eth0,10.77.0.$1,10.77.0.100" --member "eth0,fe80::$1,fe80::100,2001:db8:77::100"; }

# within SECONDS LOG PATTERN: waits until a log has a line.
within() {
    local tries=$(($1 * 50))
    while ! grep -qE -- "$3" "$work/$2" 2>/dev/null; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { echo "    $2 has no line '$3' within $1 s:" && tail -n 8 "$work/$2" | sed 's/^/      /' && return 1; }
        sleep 0.02
    done
}

without() { ! grep -qE -- "$2" "$work/$1" || { echo "    $1 has a line '$2':" && tail -n 8 "$work/$1" | sed 's/^/      /' && return 1; }; }

# row NAME FUNCTION: runs one test.
row() {
    if "$2"; then
        passed=$((passed + 1))
        echo "  ok      $1"
    else
        failed=$((failed + 1))
        echo "  FAILED  $1"
    fi
    end_all
    rm -f "$work"/*
}

# ---- Two of ours ----

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

# ---- keepalived ----

# keepalived HOST LOG PRIORITY [VERSION-4-ONLY OPTIONS]: VRRP version 3 every 100 ms.
keepalived_on() {
    local n=$1 log=$2 priority=$3
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
    within 3 a 'backup -> master: preemption' && within 3 k '\(v4\) Entering BACKUP' && within 3 k '\(v6\) Entering BACKUP'
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

# ---- ucarp ----

ucarp_on() {
    local n=$1 log=$2 skew=$3 pass=$4
    shift 4
    on "$n" "$log" ucarp -i eth0 -s "10.77.0.$n" -v 7 -p "$pass" -a 10.77.0.100 -b 1 -k "$skew" \
        -u /bin/true -d /bin/true "$@"
}

carp() {
    local n=$1 log=$2 priority=$3
    shift 3
    echo foo >"$work/passphrase"
    ours "$n" "$log" --dialect freebsd --own-mac --priority "$priority" --passphrase-file "$work/passphrase" \
        --member "eth0,10.77.0.$n,10.77.0.100" "$@"
}

ucarp_yields_and_takes_over() {
    carp 1 a 254
    local first=$started
    within 6 a 'backup -> master' || return 1
    ucarp_on 2 u 100 foo
    sleep 6
    without u 'MASTER' && without a 'bad digest|master ->' || return 1
    kill -KILL "$first"
    within 8 u 'Switching to state: MASTER'
}

ucarp_is_replaced_when_it_dies() {
    ucarp_on 2 u 0 foo
    local first=$started
    within 8 u 'Switching to state: MASTER' || return 1
    carp 1 a 154
    sleep 5
    without a '-> master' || return 1
    kill -KILL "$first"
    within 6 a 'role backup -> master: silence'
}

ucarp_takes_our_farewell() {
    carp 1 a 254
    local first=$started
    within 6 a 'backup -> master' || return 1
    ucarp_on 2 u 100 foo
    sleep 5
    kill -TERM "$first"
    within 3 u 'Switching to state: MASTER'
}

ucarp_with_another_passphrase() {
    ucarp_on 2 u 0 bar
    within 8 u 'Switching to state: MASTER' || return 1
    carp 1 a 154
    within 4 a 'bad digest, member 0, source 10.77.0.2'
}

if [ "$(id -u)" != 0 ]; then
    echo "SKIPPED: the election beside real routers needs root"
    exit 0
fi
build_lan
row "two of ours by VRRP: the backup takes over from a killed master" pair_by_vrrp
row "two of ours: a farewell hands over" pair_hands_over
row "two of ours: a master that was stopped does not come back as one" pair_after_a_stop
row "two of ours by CARP, OpenBSD's and FreeBSD's rules" pair_by_carp
if command -v keepalived >/dev/null; then
    row "keepalived yields to us, and takes over when we die" keepalived_yields_and_takes_over
    row "we yield to keepalived, and take over when it dies" keepalived_is_replaced_when_it_dies
    row "we preempt keepalived" keepalived_is_preempted
    row "keepalived takes our farewell" keepalived_farewell
    row "keepalived with the checksum of the other RFC is refused and reported" keepalived_with_the_other_checksum
    row "keepalived with other addresses is refused and reported, or accepted by option" keepalived_with_other_addresses
else
    echo "  SKIPPED keepalived is not installed"
fi
if command -v ucarp >/dev/null; then
    row "ucarp yields to us, and takes over when we die" ucarp_yields_and_takes_over
    row "we yield to ucarp, and take over when it dies" ucarp_is_replaced_when_it_dies
    row "ucarp takes our farewell" ucarp_takes_our_farewell
    row "ucarp with another pass-phrase is refused and reported" ucarp_with_another_passphrase
else
    echo "  SKIPPED ucarp is not installed"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
