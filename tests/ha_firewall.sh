#!/bin/bash
# Tests the example firewall: its rule file, wrong arguments, its buffers under load, steering, and (as root) two lanes in
# network namespaces, translation, the election and the seal. Build it first: cargo build --release && make -C c-examples ha-firewall
# tests/ha_firewall.sh [rules] [arguments] [load] [steering] [network] [family] [hairpin] [peer] [election] [seal]; default: all.
set -u
cd "$(dirname "$0")/.." || exit 1
firewall=${FIREWALL:-c-examples/build/ha-firewall}
work=$(mktemp -d)
prefix=pfphf$$
passed=0 failed=0 process='' helper='' peer=''

for part in common arguments network family hairpin peer election seal; do
    # shellcheck source=/dev/null
    source "tests/ha_firewall/$part.sh"
done
trap finish EXIT

test_rules() {
    local program=$work/rules-test sources=c-examples/ha-firewall
    mkdir -p "$work/rules.d"
    gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -g -fsanitize=address,undefined -Iinclude -I$sources \
        tests/ha_firewall/rules.c $sources/rules/{rules,line,translation}.c $sources/address.c -o "$program" &&
        "$program" "$work/rules.d" && pass || fail "the rule file"
}

# Ports that generate frames at full speed: the firewall frees all of them and loses no buffer.
test_load() {
    echo "block all" >"$work/rules"
    "$firewall" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --role master >"$work/log" 2>&1 &
    process=$!
    wait_for_control || return
    exits_with 1 "another process uses it" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}"
    sleep 1
    [ "$(value stats firewall received)" -gt 1000 ] && pass || fail "no load: $(request stats)"
    [ "$(request nonsense | grep -c '"ok":false')" -eq 1 ] && pass || fail "an unknown command: $(request nonsense)"
    exits_cleanly "under load"
}

# Two lanes on ports with two queues and RSS: the ports get the engine's hash key and table.
test_steering() {
    local side
    echo "block all" >"$work/rules"
    "$firewall" --lcores=0@0,1@0 "${eal[@]:2}" "${null_ports[@]}" -- "${own[@]}" --lanes 2 --role master >"$work/log" 2>&1 &
    process=$!
    wait_for_control || return
    for side in "inside 0" "outside 1"; do
        grep -qxF "ha-firewall: --$side: 2 lanes, 2 queue(s), the port steers packets to their lanes" "$work/log" && pass ||
            fail "$side is not steered: $(cat "$work/log")"
    done
    sleep 0.5
    exits_cleanly "with steering"
}

[ -x "$firewall" ] || { echo "build $firewall first" >&2 && exit 2; }
echo "block all" >"$work/rules"
for part in "${@:-rules arguments load steering network family hairpin peer election seal}"; do
    for name in $part; do "test_$name"; done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
