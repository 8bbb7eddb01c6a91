#!/usr/bin/env bash
# Tests the dissector tools/wireshark/pfsync.lua with the recorded captures: tshark must find the values that the sender had
# in memory in every frame, filter by them, and report the fault of malformed frames.
# Needs tshark with text2pcap and mergecap. Without them the test is skipped, or fails if CI is set.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

if ! command -v tshark text2pcap mergecap >/dev/null; then
    echo "wireshark: skipped, tshark is not installed (Debian: apt-get install tshark)"
    [ -z "${CI:-}" ]
    exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() {
    echo "wireshark: $*" >&2
    failed=1
}

# dissect CAPTURE OPTION... : runs tshark with the dissector; fails on Lua warnings.
dissect() {
    local capture=$1
    shift
    tshark -X lua_script:tools/wireshark/pfsync.lua -r "$capture" "$@" 2>"$work/stderr" || {
        cat "$work/stderr" >&2
        fail "tshark failed on $capture"
    }
    if grep -i 'lua' "$work/stderr"; then fail "the dissector complained about $capture"; fi
}

# memory JSON NAME PATTERN : prints all values that the sender had in memory under a name, in wire order.
memory() { grep -o "\"$2\":$3" "$1" | sed 's/^"[^"]*"://; s/"//g' || true; }

# column N... : prints these columns of the dissected capture, one value a line.
column() {
    local number
    for number; do
        cut -f "$number" "$work/fields" | tr ' ' '\n' | sed '/^$/d'
    done
}

decimal() { while read -r value; do echo $((value)); done; }

compared=0
# same NAME THEIRS OURS : compares two files of values.
same() {
    cmp -s "$2" "$3" || {
        fail "$1 differs"
        diff "$2" "$3" | head -5 >&2
    }
    compared=$((compared + $(wc -l <"$2")))
}

# The columns to print; the fields of a peer for both sides of a state.
columns=(-e pfsync.state.id -e pfsync.creatorid)
peer=(seqlo seqhi seqdiff max_win mss wscale)
for field in "${peer[@]}"; do columns+=(-e "pfsync.state.src.$field" -e "pfsync.state.dst.$field"); done
columns+=(-e pfsync.state.timeout -e pfsync.state.direction -e pfsync.state.expire)
for counter in hdrops badver badlen badact badval badttl skipped; do columns+=(-e "pfsync.$counter"); done
number='[0-9]*'

for system in openbsd freebsd1301 freebsd1400; do
    name=$system
    json=$work/$system.json
    # One run for each system: starting tshark costs as much as thousands of frames.
    cat "tests/vectors/$system/gen/"*.json >"$json"
    mergecap -a -F pcap -w "$work/$system.pcap" "tests/vectors/$system/gen/"*.pcap
    dissect "$work/$system.pcap" -T fields -E aggregator=' ' "${columns[@]}" >"$work/fields"
    frames=$(grep -c '"ip_len"' "$json")
    [ "$(wc -l <"$work/fields")" -eq "$frames" ] || fail "$name: not every frame is dissected"
    memory "$json" id '"[0-9a-f]*"' >"$work/theirs"
    column 1 | sed 's/^0x//' >"$work/ours"
    same "$name: ids" "$work/theirs" "$work/ours"
    memory "$json" creatorid '"[0-9a-f]*"' >"$work/theirs"
    column 2 | sed 's/^0x//' >"$work/ours"
    same "$name: creators" "$work/theirs" "$work/ours"
    at=3
    for field in "${peer[@]}"; do
        memory "$json" "$field" "$number" | sort >"$work/theirs"
        column $at $((at + 1)) | if [ "$field" = wscale ]; then decimal; else cat; fi | sort >"$work/ours"
        same "$name: $field" "$work/theirs" "$work/ours"
        at=$((at + 2))
    done
    for field in timeout direction; do
        memory "$json" "$field" "$number" >"$work/theirs"
        column $at >"$work/ours"
        same "$name: $field" "$work/theirs" "$work/ours"
        at=$((at + 1))
    done
    # UPD_C carries an expire too, always 0.
    memory "$json" expires_in "$number" | sed '/^0$/d' >"$work/theirs"
    column $at | sed '/^0$/d' >"$work/ours"
    same "$name: expires" "$work/theirs" "$work/ours"
    [ -z "$(cut -f $((at + 1))- "$work/fields" | tr -d '\t\n')" ] || fail "$name: valid frames are reported as malformed"
done
echo "wireshark: $compared values equal those in the senders' memory"

found=$(dissect tests/vectors/openbsd/gen/mixed.pcap -Y 'pfsync.state.id == 0x069193c1d4c4da2f' | wc -l)
[ "$found" -eq 1 ] || fail "the filter by id finds $found frames instead of 1"
found=$(dissect tests/vectors/freebsd1400/gen/mixed.pcap -Y 'pfsync.action == "DEL_C" && pfsync.version == 5' | wc -l)
[ "$found" -gt 0 ] || fail "the filter by action finds nothing"

# expect NAME TEXT HEX : a malformed frame (IPv4 packet in hex digits) must be reported with this text.
expect() {
    sed 's/../& /g; s/^/000000 /' <<<"$3" | text2pcap -q -l 101 - "$work/broken.pcap" 2>/dev/null
    dissect "$work/broken.pcap" -T fields -e _ws.expert.message -e pfsync.skipped | grep -qi "$2" ||
        fail "$1: not reported as '$2'"
    broken=$((broken + 1))
}
broken=0
# ip TTL FRAME : prints an IPv4 packet with this frame; tshark does not check its checksum.
ip() { printf '4510%04x00004000%02xf00000c0000201e00000f0%s' $((20 + ${#2} / 2)) "$1" "$2"; }
zeros=00000000000000000000000000000000
delete=07030001010101010101010101010101
expect "TTL" "TTL is not 255" "$(ip 64 "06000024$zeros$delete")"
expect "short" "Shorter than the header" "$(ip 255 060000)"
expect "version" "Unknown version" "$(ip 255 "07000014$zeros")"
expect "length" "Length does not fit" "$(ip 255 "06000025$zeros$delete")"
expect "count" "More records than bytes" "$(ip 255 "06000024$zeros${delete/0001/0002}")"
expect "action" "Unknown action" "$(ip 255 "05000018${zeros}11000001")"
expect "skipped" "skipped" "$(ip 255 "0600001c${zeros}6301000100000000")"
expect "end" "after the end mark" "$(ip 255 "0500001c${zeros}0c0000010c000001")"
empty=06000014$zeros
# fields FORMAT OPTIONS : prints the fields of a trailer with this format byte and number of bytes of options.
fields() { printf 'd5706673%s0102030405060708090a0b00000000000000110000000%s0001' "$1" "5$2"; }
option=1000000f000000000000000700000009aabbcc00
expect "trailer, short" "ends within its fields" "$(ip 255 "${empty}d57066731000")"
expect "trailer, format" "Unknown format" "$(ip 255 "$empty$(fields 20 0000)")"
expect "trailer, length" "does not end with the packet" "$(ip 255 "$empty$(fields 10 0004)")"
expect "trailer, option" "does not fit into the trailer" "$(ip 255 "$empty$(fields 10 0004)10000001")"
echo "wireshark: $broken malformed frames reported"

sed 's/../& /g; s/^/000000 /' <<<"$(ip 255 "$empty$(fields 11 0014)$option$zeros")" |
    text2pcap -q -l 101 - "$work/trailer.pcap" 2>/dev/null
printed=$(dissect "$work/trailer.pcap" -T fields -E separator=, -e pfsync.trailer.protection -e pfsync.trailer.lane \
    -e pfsync.trailer.epoch -e pfsync.trailer.sequence -e pfsync.trailer.option.kind -e pfsync.state.id \
    -e pfsync.trailer.option.value -e pfsync.trailer.tag -e pfsync.badoption -e pfsync.trailer_length)
[ "$printed" = "1,3,0x0405060708090a0b,17,16,0x0000000000000007,aabbcc,$zeros,," ] || fail "the trailer is dissected as $printed"
sed 's/../& /g; s/^/000000 /' <<<"$(ip 255 "$empty$(fields 12 0004)aabbccddeeff0011$zeros")" |
    text2pcap -q -l 101 - "$work/encrypted.pcap" 2>/dev/null
printed=$(dissect "$work/encrypted.pcap" -T fields -E separator=, -e pfsync.trailer.protection -e pfsync.trailer.encrypted \
    -e pfsync.trailer.option.kind -e pfsync.trailer.tag -e pfsync.trailer_length)
[ "$printed" = "2,aabbccddeeff0011,,$zeros," ] || fail "the encrypted trailer is dissected as $printed"
exit "$failed"
