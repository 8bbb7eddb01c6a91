#!/usr/bin/env bash
# The election beside real routers: two of ours, keepalived and FRR (VRRP) and ucarp (CARP), in network namespaces on one bridge.
# Needs root. A peer that is not installed is named as skipped. The last line sums up.
#
#   tests/election.sh [ours|keepalived|ucarp|frr]...
set -uo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." || exit 1

if [ "$(id -u)" != 0 ]; then
    echo "SKIPPED: the election beside real routers needs root"
    exit 0
fi

source tests/election/lan.sh
source tests/election/ours.sh
source tests/election/keepalived.sh
source tests/election/ucarp.sh
source tests/election/frr.sh

# wanted PART: whether the arguments name it, or none.
parts=("$@")
wanted() { [ ${#parts[@]} -eq 0 ] || [[ " ${parts[*]} " == *" $1 "* ]]; }

# rows_with PART COMMAND: runs the rows of a peer if it is installed.
rows_with() {
    wanted "$1" || return 0
    if command -v "$2" >/dev/null; then "rows_of_$1"; else echo "  SKIPPED $1 is not installed"; fi
}

build_lan
wanted ours && rows_of_ours
rows_with keepalived keepalived
rows_with ucarp ucarp
rows_with frr "$frr/vrrpd"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
