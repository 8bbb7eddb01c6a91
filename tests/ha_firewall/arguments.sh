# shellcheck shell=bash
# Part `arguments`: every wrong argument is refused with its own message and exit status.

# without OPTION: prints the usual arguments without this option and its value.
without() {
    local word skip=
    for word in "${own[@]}"; do
        if [ -n "$skip" ]; then skip=; elif [ "$word" = "$1" ]; then skip=1; else printf '%s\n' "$word"; fi
    done
}

test_arguments() {
    local option mac rest
    exits_with 0 "usage: ha-firewall" --help
    exits_with 2 "--inside is missing"
    exits_with 2 "--nonsense: not an option" -- --nonsense
    exits_with 2 "-x: not an option" -- -x
    exits_with 2 "--rules: the value is missing" -- --rules
    exits_with 2 "--rules: the value is missing" -- --rules --control
    exits_with 2 "stray: not an option" -- "${own[@]}" stray
    for option in --inside --outside --sync --inside-address --outside-address --inside-mac --outside-mac \
        --sync-address --rules --control; do
        mapfile -t rest < <(without "$option")
        exits_with 2 "$option is missing" -- "${rest[@]}"
    done
    for option in --inside --outside --sync; do
        exits_with 2 "$option 65535: not a number from 0 to 65534" -- "$option" 65535
        exits_with 2 "$option inside: not a number" -- "$option" inside
        exits_with 2 "$option -1: not a number" -- "$option" -1
    done
    exits_with 2 "--inside and --outside are the same port 0" -- "${own[@]}" --outside 0
    exits_with 2 "--sync 1: the port is already the inside or the outside" -- "${own[@]}" --sync 1
    for option in --inside-address --outside-address; do
        exits_with 2 "$option 10.1.0.1/33: not an address" -- "$option" 10.1.0.1/33
        exits_with 2 "$option fd00::1/129: not an address" -- "$option" fd00::1/129
        exits_with 2 "$option fd00::g/64: not an address" -- "$option" fd00::g/64
        mapfile -t rest < <(for n in 1 2 3 4 5 6 7 8 9; do printf '%s\n' "$option" "fd00::$n/64"; done)
        exits_with 2 "fd00::9/64: more than 8 addresses" -- "${rest[@]}"
    done
    for option in --inside-mac --outside-mac; do
        for mac in 00:00:5e:00:01 00:00:5e:00:01:01:01 00:00:5e:00:01:xx -1:00:5e:00:01:01 "00: 0:5e:00:01:01" 000:0:5e:0:1:1; do
            exits_with 2 "$option $mac: not an Ethernet address" -- "$option" "$mac"
        done
        exits_with 2 "$option 01:00:5e:00:01:01: a group address" -- "$option" 01:00:5e:00:01:01
        exits_with 2 "$option 00:00:00:00:00:00: not a host address" -- "$option" 00:00:00:00:00:00
    done
    for option in --inside-gateway --outside-gateway --sync-address --sync-peer; do
        exits_with 2 "$option 10.3.0.256: not an IP address" -- "$option" 10.3.0.256
    done
    for option in --inside --outside; do
        exits_with 2 "$option-address 224.0.0.1/24: not a host address" -- "$option-address" 224.0.0.1/24
        exits_with 2 "$option-address ::/64: not a host address" -- "$option-address" ::/64
        exits_with 2 "$option-gateway 10.9.0.1: on no subnet of $option-address" -- "${own[@]}" "$option-gateway" 10.9.0.1
        exits_with 2 "a second gateway of the same family" -- "$option-gateway" 10.1.0.2 "$option-gateway" 10.1.0.3
    done
    exits_with 2 "--inside-gateway 10.1.0.1: this is our own address" -- "${own[@]}" --inside-gateway 10.1.0.1
    exits_with 2 "10.1.0.1: a shared address is given twice" -- "${own[@]}" --outside-address 10.1.0.1/16
    exits_with 2 "--sync-address: not a host address" -- "${own[@]}" --sync-address 224.0.0.240
    exits_with 2 "--sync-profile freebsd13: not openbsd6, freebsd1301, freebsd1400 or freebsd1500" -- --sync-profile freebsd13
    exits_with 2 "--sync-vlan 4095: not a number from 1 to 4094" -- --sync-vlan 4095
    exits_with 2 "--sync-vlan 0: not a number from 1 to 4094" -- --sync-vlan 0
    exits_with 2 "--sync-allow 10.3.0.256: not an IP address" -- --sync-allow 10.3.0.256
    exits_with 2 "--sync-allow 224.0.0.240: not a host address" -- --sync-allow 224.0.0.240
    exits_with 2 "--sync-allow and --sync-address have different families" -- "${own[@]}" --sync-allow fd00::2
    mapfile -t rest < <(for n in 1 2 3 4 5 6 7 8 9; do printf '%s\n' --sync-allow "10.3.0.$n"; done)
    exits_with 2 "--sync-allow 10.3.0.9: more than 8 addresses" -- "${rest[@]}"
    for rest in eth0 =em0 eth0= interface-with-16=em0 eth0=interface-with-16; do
        exits_with 2 "--sync-interface $rest: not two names" -- --sync-interface "$rest"
    done
    exits_with 2 "--max-imported 0: not a number from 1 to 1073741824" -- --max-imported 0
    exits_with 2 "--sync-peer is our own --sync-address" -- "${own[@]}" --sync-peer 10.3.0.1
    exits_with 2 "--sync-peer and --sync-address have different families" -- "${own[@]}" --sync-peer fd00::1
    exits_with 2 "--lanes 0: not a number from 1 to 128" -- --lanes 0
    exits_with 2 "--lanes 129: not a number from 1 to 128" -- --lanes 129
    exits_with 2 "--states 0: not a number from 1" -- --states 0
    exits_with 2 "--mtu 65536: not a number from 1 to 65535" -- --mtu 65536
    exits_with 2 "--insert-age 10001: not a number from 0 to 10000" -- --insert-age 10001
    exits_with 2 "--update-age 1s: not a number from 0 to 60000" -- --update-age 1s
    exits_with 2 "--defer-ms 1001: not a number from 0 to 1000" -- --defer-ms 1001
    exits_with 2 "--max-defer 0: not a number from 1 to 4096" -- --max-defer 0
    exits_with 2 "--defer-ms 5 needs replication" -- "${own[@]}" --no-sync --defer-ms 5
    exits_with 2 "--role slave: not master or backup" -- --role slave

    exits_with 2 "--rules $work/nothing: No such file" -- "${own[@]}" --rules "$work/nothing"
    exits_with 2 "--rules $work: Is a directory" -- "${own[@]}" --rules "$work"
    echo "pass in proto tpc all" >"$work/wrong"
    exits_with 2 "--rules $work/wrong:1: 'tpc'" -- "${own[@]}" --rules "$work/wrong"
    echo "pass in inet6 from any to 64:ff9b::/80 af-to inet from 10.2.0.1" >"$work/wrong"
    exits_with 2 "--rules $work/wrong:1: 'to': af-to takes IPv6 prefixes of 32, 40, 48, 56, 64, or 96 to 128 bits" -- \
        "${own[@]}" --rules "$work/wrong"

    echo "block all" >"$work/rules"
    exits_with 1 "--lanes 2: EAL has only 1 lcores" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --lanes 2
    exits_with 1 "--inside 7: no such port; DPDK found 3" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --inside 7
    exits_with 1 "--outside 7: no such port" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --outside 7
    exits_with 1 "--sync 7: no such port" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --sync 7
    exits_with 2 "mtu is 100, it must be from" -- "${own[@]}" --mtu 100
    exits_with 1 "--event-log $work/nowhere/events: cannot be written" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --event-log "$work/nowhere/events"
    exits_with 1 "longer than 107 characters" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --control "$work/$(printf '%0120d' 0)"
    exits_with 1 "No such file" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --control "$work/nowhere/control"
    exits_with 1 "--exposure $work/nowhere/x: No such file" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --exposure "$work/nowhere/x"
    echo precious >"$work/file"
    exits_with 1 "a file exists that is not a socket" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --control "$work/file"
    [ "$(cat "$work/file")" = precious ] && pass || fail "--control deleted a file that is not a socket"
}
