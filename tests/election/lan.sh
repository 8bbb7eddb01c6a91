# shellcheck shell=bash
# Two hosts on a bridge, in network namespaces, and how the rows start routers there and read their logs.

elect=$(readlink -f "${ELECT:-c-examples/build/elect}")
[ -x "$elect" ] || { echo "$elect is missing: make -C c-examples elect" && exit 1; }
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
    # What FRR and faults leave behind.
    local n
    for n in 1 2; do
        ip -n "${hosts[n - 1]}" link del vrrp4-7 2>/dev/null
        ip -n "${hosts[n - 1]}" link del vrrp6-7 2>/dev/null
        heal "$n" 2>/dev/null
    done
}

# cut_off HOST: all frames of a host are lost; its link stays up. heal HOST ends that.
cut_off() { ip -n "$lan" link set "p$1" nomaster; }
heal() { ip -n "$lan" link set "p$1" master bridge; }

# One bridge without snooping, which has 10.77.0.254 and 2001:db8:77::254; host n has 10.77.0.n, 2001:db8:77::n and fe80::n on
# eth0.
build_lan() {
    ip netns add "$lan"
    # Its address stays when a port leaves it.
    ip -n "$lan" link add bridge address 02:00:00:00:00:fe type bridge mcast_snooping 0
    ip netns exec "$lan" sysctl -qw net.ipv6.conf.bridge.accept_dad=0
    ip -n "$lan" link set bridge up
    ip -n "$lan" address add 10.77.0.254/24 dev bridge
    ip -n "$lan" address add 2001:db8:77::254/64 dev bridge
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
        ip -n "$host" address add "2001:db8:77::$n/64" dev eth0
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

# role LOG ROLE: whether the last role that one of ours has printed is this one.
role() {
    local last
    last=$(sed -n 's/.* role .* -> \([a-z]*\):.*/\1/p' "$work/$1" | tail -n 1)
    [ "$last" = "$2" ] || { echo "    $1 is '$last', not '$2':" && tail -n 8 "$work/$1" | sed 's/^/      /' && return 1; }
}

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
