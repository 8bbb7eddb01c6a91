# shellcheck shell=bash
# Output: steps, progress, totals.

min_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
logs=target/x
passed=0
failed=0
skipped=0
heartbeat=

bold='' red='' green='' yellow='' plain=''
moving=no
if [ -t 1 ] && [ "${CI:-}" != true ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' plain=$'\e[0m'
    moving=yes
fi
if [ "${CI:-}" = true ]; then
    export CARGO_TERM_COLOR=never
fi

die() {
    echo "${red}x: $*${plain}" >&2
    exit 1
}

note() { echo "$*"; }

# Shows the last line of a step's output: rewritten each second on a terminal, printed every 30 seconds elsewhere.
show_progress() {
    local title=$1 log=$2 begin=$SECONDS last
    while sleep 1 >/dev/null; do
        last=$(tail -n 1 "$log" 2>/dev/null | tr -cd '[:print:]' | cut -c 1-70) || true
        if [ "$moving" = yes ]; then
            printf '\r\e[K  %s: %d s  %s' "$title" $((SECONDS - begin)) "$last"
        elif [ $(((SECONDS - begin) % 30)) = 29 ]; then
            echo "    $((SECONDS - begin)) s  $last"
        fi
    done
}

stop_progress() {
    [ -n "$heartbeat" ] || return 0
    kill "$heartbeat" 2>/dev/null || true
    wait "$heartbeat" 2>/dev/null || true
    heartbeat=
    if [ "$moving" = yes ]; then printf '\r\e[K'; fi
}
trap stop_progress EXIT

# run_logged TITLE COMMAND...: runs the command with its output in a log. Sets `log` and `took_s`; returns the status.
run_logged() {
    local title=$1 status=0 begin=$SECONDS
    shift
    mkdir -p "$logs"
    log=$logs/$(tr -cs 'a-zA-Z0-9' '-' <<<"$title" | sed 's/-*$//').log
    : >"$log"
    if [ "$moving" = no ]; then echo "  $title ..."; fi
    show_progress "$title" "$log" &
    heartbeat=$!
    "$@" >"$log" 2>&1 </dev/null || status=$?
    stop_progress
    took_s=$((SECONDS - begin))
    return "$status"
}

# step TITLE COMMAND...: runs a command and counts it as passed or failed.
step() {
    local title=$1
    if run_logged "$@"; then
        passed=$((passed + 1))
        echo "  ${green}ok${plain}      $title (${took_s} s)"
    else
        failed=$((failed + 1))
        show_failure "$title"
    fi
}

# must TITLE COMMAND...: runs a command that everything after it needs; not counted.
must() {
    local title=$1
    run_logged "$@" && return 0
    show_failure "$title"
    die "cannot continue: '$title' failed"
}

show_failure() {
    echo "  ${red}FAILED${plain}  $1 (${took_s} s): the end of $log"
    tail -n 60 "$log" | sed 's/^/      /'
}

# tests TITLE COMMAND...: runs cargo test and counts each test.
tests() {
    local title=$1 status=0 good bad
    run_logged "$@" || status=$?
    good=$(sum_results passed)
    bad=$(sum_results failed)
    if [ "$status" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    passed=$((passed + good))
    failed=$((failed + bad))
    if [ "$bad" = 0 ]; then
        echo "  ${green}ok${plain}      $title: $good tests (${took_s} s)"
        show_figures
    else
        show_failed_tests "$title"
    fi
    note_skipped_tests
}

# Prints the output of failed tests, or the end of the log if the build failed.
show_failed_tests() {
    local words
    words=$(awk '/^failures:$/ { inside = 1 } /^test result/ { inside = 0 } inside && count++ < 120' "$log")
    if [ -z "$words" ]; then show_failure "$1" && return; fi
    echo "  ${red}FAILED${plain}  $1 (${took_s} s): from $log"
    sed 's/^/      /' <<<"$words"
}

sum_results() {
    sed -n "s/^test result: .* \([0-9]*\) $1;.*/\1/p" "$log" | awk '{ sum += $1 } END { print sum + 0 }'
}

# Prints what passing tests reported, such as the number of records compared (needs --show-output).
show_figures() {
    # No head: it would end awk by SIGPIPE, and that this script.
    awk '/^---- .* stdout ----$/ { inside = 1; next } /^$/ { inside = 0 }
        inside && !/^(SKIPPED|proptest:)/ && count++ < 20' "$log" | cut -c 1-160 | sed 's/^/            /'
}

# A test that cannot run on this machine prints a line "SKIPPED: reason".
note_skipped_tests() {
    local why
    while read -r why; do
        skip "${why#SKIPPED: }"
    done < <(grep -a '^SKIPPED' "$log" | sort -u)
}

skip() {
    skipped=$((skipped + 1))
    echo "  ${yellow}SKIPPED${plain} $*"
}

# The last line of test and check. Returns 1 if something failed.
totals() {
    if [ "$skipped" != 0 ]; then echo "${yellow}$skipped skipped, see above${plain}"; fi
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}
