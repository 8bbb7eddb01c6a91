# shellcheck shell=bash
# Part `hairpin`: a client on the inside reaches a server on the inside by the firewall's outside address.

hairpin_rules='
block all
pass in proto tcp from 10.1.0.0/24 to 10.2.0.1 port 443 rdr-to 10.1.0.30 port 5080 nat-to 10.1.0.1 keep state
pass in inet6 proto tcp from fd01::/64 to fd02::1 port 443 rdr-to fd01::30 port 5080 nat-to fd01::1 keep state
'

test_hairpin() {
    [ "$(id -u)" -eq 0 ] || { echo "SKIPPED: a client and a server on the inside: needs root" && return; }
    local server
    create_network || { fail "no network namespaces" && return; }
    ip -n "$prefix-client" address add 10.1.0.30/24 dev end
    ip -n "$prefix-client" address add fd01::30/64 dev end nodad preferred_lft 0
    echo "$hairpin_rules" >"$work/rules"
    start_in_namespace framecnt=4096 || return
    for server in "10.1.0.30 10.2.0.1" "fd01::30 fd02::1"; do
        serve_family client "${server% *}"
        succeeds "20 connections to $server" inside client timeout 30 python3 -c "$tcp_client" "${server#* }" 443
        fails "another port of ${server#* }" inside client timeout 5 python3 -c "$tcp_client" "${server#* }" 5000
        stop_helper
    done
    exits_cleanly "with client and server inside"
    delete_network
}
