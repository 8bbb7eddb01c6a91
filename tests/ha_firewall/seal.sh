# shellcheck shell=bash
# Part `seal`: the file of the keys, and two firewalls whose sync link is sealed.

test_seal_options() {
    local hex key=$work/key
    hex=$(printf '%064x' 12345)
    umask 077
    wrong_key() {
        printf '%b' "$1" >"$key"
        exits_with 2 "--seal-key $key$2" -- "${own[@]}" --sync-peer 10.3.0.2 --seal-key "$key"
    }
    exits_with 2 "--seal needs --seal-key" -- "${own[@]}" --seal sign
    exits_with 2 "--seal half: not require, sign or encrypt" -- "${own[@]}" --seal half
    exits_with 2 "--seal-key $work/nothing: No such file" -- "${own[@]}" --seal-key "$work/nothing"
    wrong_key '' ': no key is in it'
    wrong_key '# only this\n' ': no key is in it'
    wrong_key '1 1234\n' ':1: the key must have 64 hex digits'
    wrong_key "1 ${hex}00\n" ':1: the key must have 64 hex digits'
    wrong_key "1 ${hex/0/x}\n" ':1: the key must have 64 hex digits'
    wrong_key "# next\n\n1 $hex\n0 $hex\n" ':4: not a number from 1 to 255 and a key'
    wrong_key "256 $hex\n" ':1: not a number from 1 to 255 and a key'
    wrong_key "$hex\n" ':1: not a number from 1 to 255 and a key'
    wrong_key "1 $hex\n1 $hex\n" ':2: another key has this number'
    wrong_key "1 $hex\n2 $hex\n3 $hex\n4 $hex\n5 $hex\n" ':5: more than 4 keys'
    printf '1 %s\n' "$hex" >"$key"
    exits_with 2 "needs replication, which --no-sync disables" -- "${own[@]}" --no-sync --seal-key "$key"
    exits_with 2 "a sealed peer is one node" -- "${own[@]}" --seal-key "$key"
    printf '1 %064x\n' 0 >"$key"
    exits_with 2 "a key of zeros only is no secret" -- "${own[@]}" --sync-peer 10.3.0.2 --seal-key "$key"
    chmod 640 "$key"
    exits_with 2 "others than its owner may use this file" -- "${own[@]}" --sync-peer 10.3.0.2 --seal-key "$key"
    umask 022
}

# The keys are read again while the firewall runs.
test_seal_reload() {
    local key=$work/key answer
    rm -f "$key"
    (umask 077 && printf '1 %064x\n' 11 >"$key")
    echo "block all" >"$work/rules"
    "$firewall" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --role master --sync-peer 10.3.0.2 --seal-key "$key" >"$work/log" 2>&1 &
    process=$!
    wait_for_control || return
    request seal | grep -q '"mode":"require","proven":false.*"keys":\[1\],"peer_keys":\[\]' && pass || fail "seal: $(request seal)"
    printf '2 %064x\n1 %064x\n' 22 11 >"$key"
    request reload-seal-keys | grep -q '"keys":\[2,1\]' && pass || fail "two keys: $(request seal)"
    printf '2 %064x\n' 22 >"$key"
    request reload-seal-keys | grep -q '"keys":\[2\]' && pass || fail "one key: $(request seal)"
    printf '2 12\n' >"$key"
    answer=$(request reload-seal-keys)
    [[ $answer = *'"ok":false'*':1: the key must have 64 hex digits'* ]] && pass || fail "a short key: $answer"
    request seal | grep -q '"keys":\[2\]' && pass || fail "the keys stay: $(request seal)"
    exits_cleanly "with a seal"
    printf '1 %064x\n' 11 >"$key"
    "$firewall" "${eal[@]}" "${null_ports[@]}" -- "${own[@]}" --role master --sync-peer 10.3.0.2 --seal-key "$key" --seal encrypt \
        >"$work/log" 2>&1 &
    process=$!
    wait_for_control || return
    request seal | grep -q '"mode":"encrypt","proven":false,"accepted":false,"encrypts":true' && pass || fail "encrypt: $(request seal)"
    exits_cleanly "with encryption"
}

test_seal() {
    test_seal_options
    test_seal_reload
}
