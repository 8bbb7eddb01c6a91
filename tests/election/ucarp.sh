# shellcheck shell=bash
# Rows with ucarp: CARP over IPv4.

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

ucarp_is_preempted() {
    ucarp_on 2 u 100 foo
    within 8 u 'Switching to state: MASTER' || return 1
    carp 1 a 254 --preempt
    within 6 a 'backup -> master: preemption' && within 4 u 'Switching to state: BACKUP'
}

# ucarp counts on from the counter of our advert.
ucarp_preempts_us() {
    carp 1 a 154
    within 6 a 'backup -> master' || return 1
    ucarp_on 2 u 0 foo -P
    within 12 a 'master -> backup: better master' && within 3 u 'Switching to state: MASTER'
}

ucarp_yields_after_a_partition() {
    carp 1 a 254
    within 6 a 'backup -> master' || return 1
    ucarp_on 2 u 100 foo
    sleep 5
    cut_off 2
    within 8 u 'Switching to state: MASTER' || return 1
    heal 2
    within 4 u 'Switching to state: BACKUP' && role a master
}

we_yield_to_ucarp_after_a_partition() {
    ucarp_on 2 u 0 foo
    within 8 u 'Switching to state: MASTER' || return 1
    carp 1 a 154
    sleep 4
    cut_off 2
    within 6 a 'backup -> master: silence' || return 1
    heal 2
    within 4 a 'master -> backup: better master'
}

# By ucarp's rule the lower address stays, by ours the higher one: both may yield, and one takes over again.
ucarp_with_equal_timing() {
    ucarp_on 2 u 0 foo
    within 8 u 'Switching to state: MASTER' || return 1
    carp 1 a 254
    within 6 a 'equal priority, member 0, source 10.77.0.2'
}

rows_of_ucarp() {
    row "ucarp yields to us, and takes over when we die" ucarp_yields_and_takes_over
    row "we yield to ucarp, and take over when it dies" ucarp_is_replaced_when_it_dies
    row "ucarp takes our farewell" ucarp_takes_our_farewell
    row "we preempt ucarp" ucarp_is_preempted
    row "ucarp preempts us" ucarp_preempts_us
    row "ucarp yields to us after a partition" ucarp_yields_after_a_partition
    row "we yield to ucarp after a partition" we_yield_to_ucarp_after_a_partition
    row "ucarp with our timing is reported" ucarp_with_equal_timing
    row "ucarp with another pass-phrase is refused and reported" ucarp_with_another_passphrase
}
