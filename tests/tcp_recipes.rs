//! Scripted connections, one line a packet, for both families.
//!
//! ```text
//! > SA 1000+20 ack 501 win 4000 ws 7 = pass    ESTABLISHED:SYN_SENT tcp.opening
//! |  |    |  |                         |       |                    |
//! |  |    |  octets of data            |       both sides' states   timeout class
//! |  |    sequence number              what becomes of it
//! |  flags: S, F, R, P, A, or - for none
//! way: > as the first packet went, < the other
//! ```
//!
//! The first line makes the state (`new`). What is left out is zero; `win` is 1000 when left out. A packet that changes
//! nothing may leave the states and the class out, and then it is checked that nothing changed.

#[path = "support/connection.rs"]
mod connection;

use connection::packet;
use pfplane::packet::{Family, TcpFacts};
use pfplane::state::{
    CLASSES, DropReason, Options, Outcome, Record, StateId, create, pf_flags, timeout_class, track,
};
use pfplane::time::Tick;

const STATES: [(&str, u8); 7] = [
    ("CLOSED", 0),
    ("SYN_SENT", 2),
    ("ESTABLISHED", 4),
    ("CLOSING", 7),
    ("FIN_WAIT_2", 9),
    ("TIME_WAIT", 10),
    ("PROXY_SRC", 11),
];

const OUTCOMES: [(&str, Outcome); 7] = [
    ("new", Outcome::Pass),
    ("pass", Outcome::Pass),
    ("loose", Outcome::PassLoose),
    ("retire", Outcome::Retire),
    ("window", Outcome::Drop(DropReason::Window)),
    ("challenge", Outcome::Drop(DropReason::ChallengeAck)),
    ("reset", Outcome::Drop(DropReason::Reset)),
];

fn named<T: Copy>(names: &[(&str, T)], wanted: &str, line: &str) -> T {
    let found = names.iter().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("'{wanted}' in: {line}")).1
}

/// The left half of a line.
fn packet_of(line: &str) -> (bool, TcpFacts) {
    let words: Vec<&str> = line.split('=').next().unwrap().split_whitespace().collect();
    let number = |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("'{text}' in: {line}"));
    let bit = |flag| "FSRPA".find(flag).map_or(0, |place| 1 << place);
    let (seq, payload) = words[2].split_once('+').unwrap_or((words[2], "0"));
    let mut tcp = TcpFacts {
        seq: number(seq),
        payload: number(payload),
        flags: words[1].chars().map(bit).sum(),
        window: 1_000,
        ..TcpFacts::default()
    };
    for pair in words[3..].chunks(2) {
        let value = number(pair[1]);
        match pair[0] {
            "ack" => tcp.ack = value,
            "win" => tcp.window = value.try_into().unwrap(),
            "ws" => tcp.wscale = 0x80 | u8::try_from(value).unwrap(),
            word => panic!("'{word}' in: {line}"),
        }
    }
    (words[0] == ">", tcp)
}

/// Follows a recipe; the record at its end.
fn follow(family: Family, flags: u16, recipe: &str) -> Record {
    let mut state: Option<Record> = None;
    for (now, line) in recipe.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let (forward, tcp) = packet_of(line);
        let facts = packet(family, forward, tcp);
        let now = Tick(u32::try_from(now).unwrap());
        let expected: Vec<&str> = line.split('=').nth(1).unwrap().split_whitespace().collect();
        let before = state.map_or(([0; 2], 0), |record| (record.hot.peer_state, record.hot.timeout));
        let outcome = if let Some(record) = &mut state {
            track(&mut record.hot, &mut record.track, &facts, now)
        } else {
            let options = Options { pf_flags: flags, ..Options::default() };
            state = Some(create(&facts, &options, StateId { id: 1, creator: 1 }, now));
            Outcome::Pass
        };
        assert_eq!(outcome, named(&OUTCOMES, expected[0], line), "{line}\n{state:?}");
        let hot = state.as_ref().unwrap().hot;
        let after = match expected[1..] {
            [states, class] => {
                let (src, dst) = states.split_once(':').unwrap();
                let class = CLASSES.iter().position(|(name, _)| *name == class).unwrap();
                ([named(&STATES, src, line), named(&STATES, dst, line)], u8::try_from(class).unwrap())
            }
            _ => before,
        };
        assert_eq!((hot.peer_state, hot.timeout), after, "{line}");
        // The clock moves with what passes properly, and with nothing else.
        assert_eq!(hot.last_activity == now, outcome == Outcome::Pass, "{line}");
    }
    state.unwrap()
}

fn recipe(text: &str) {
    follow(Family::V4, 0, text);
    follow(Family::V6, 0, text);
}

fn sloppy_recipe(text: &str) {
    follow(Family::V4, pf_flags::SLOPPY, text);
    follow(Family::V6, pf_flags::SLOPPY, text);
}

#[test]
fn a_connection_is_opened_used_and_closed_by_the_client() {
    recipe(
        "> S  100            = new  SYN_SENT:CLOSED         tcp.first
         < SA 900    ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
         > A  101    ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
         > PA 101+50 ack 901 = pass
         < A  901    ack 151 = pass
         < PA 901+70 ack 151 = pass
         > A  151    ack 971 = pass
         > FA 151    ack 971 = pass CLOSING:ESTABLISHED     tcp.closing
         < A  971    ack 152 = pass FIN_WAIT_2:ESTABLISHED  tcp.closing
         < FA 971    ack 152 = pass FIN_WAIT_2:CLOSING      tcp.finwait
         > A  152    ack 972 = pass FIN_WAIT_2:FIN_WAIT_2   tcp.closed",
    );
}

#[test]
fn the_server_may_close_first_and_both_at_once() {
    recipe(
        "> S  100         = new  SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
         > A  101 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
         < FA 901 ack 101 = pass ESTABLISHED:CLOSING     tcp.closing
         > FA 101 ack 901 = pass CLOSING:FIN_WAIT_2      tcp.finwait
         < A  902 ack 102 = pass FIN_WAIT_2:FIN_WAIT_2   tcp.closed",
    );
}

#[test]
fn both_sides_may_open_at_once() {
    recipe(
        "> S  100         = new  SYN_SENT:CLOSED         tcp.first
         < S  900         = pass SYN_SENT:SYN_SENT       tcp.opening
         > SA 100 ack 901 = pass SYN_SENT:ESTABLISHED    tcp.opening
         < SA 900 ack 101 = pass ESTABLISHED:ESTABLISHED tcp.established",
    );
}

#[test]
fn a_repeated_handshake_passes() {
    recipe(
        "> S  100         = new  SYN_SENT:CLOSED         tcp.first
         > S  100         = pass SYN_SENT:CLOSED         tcp.opening
         > S  100         = pass
         < SA 900 ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
         < SA 900 ack 101 = pass
         > A  101 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
         < SA 900 ack 101 = pass
         > A  101 ack 901 = pass",
    );
}

#[test]
fn a_refused_connection_ends() {
    recipe(
        "> S  100             = new  SYN_SENT:CLOSED     tcp.first
         < RA 0 ack 101 win 0 = pass TIME_WAIT:TIME_WAIT tcp.closed",
    );
}

#[test]
fn a_syn_begins_anew_on_a_closed_connection_and_is_challenged_on_a_live_one() {
    recipe(
        "> S  100         = new  SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
         > S  2000        = window
         > A  101 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
         > S  700         = challenge
         < S  100         = challenge
         > FA 101 ack 901 = pass CLOSING:ESTABLISHED     tcp.closing
         > S  700         = challenge
         < FA 901 ack 102 = pass FIN_WAIT_2:CLOSING      tcp.finwait
         > S  700         = challenge
         > A  102 ack 902 = pass FIN_WAIT_2:FIN_WAIT_2   tcp.closed
         > SA 5000 ack 902 = loose
         > S  700         = retire",
    );
}

#[test]
fn an_rst_must_be_exact() {
    // The server's last octet was 900, the client's is taken for 100 until it sends data; windows 1000.
    let opening = "> S  100         = new  SYN_SENT:CLOSED         tcp.first
                   < SA 900 ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
                   > A  101 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established\n";
    let end = "TIME_WAIT:TIME_WAIT tcp.closed";
    for exact in ["> R 99", "> R 100", "> R 101", "< R 900", "< R 901", "< R 902", "> RA 50 ack 901"] {
        recipe(&format!("{opening}{exact} = pass {end}"));
    }
    // In the window it passes for the other end to decide, and nobody is believed closed. The oldest is a window of 1000
    // and 67035 more before the next octet.
    let beside =
        ["> R 98", "> R 102", "< R 899", "< R 903", "> RA 50 ack 900", "> RA 102 ack 901", "> R 1101"];
    for beside in beside.into_iter().chain(["> R 4294899361", "< R 1901", "< R 4294900162"]) {
        recipe(&format!("{opening}{beside} = loose ESTABLISHED:ESTABLISHED tcp.closing"));
    }
    for outside in ["> R 1102", "> R 4294899360", "< R 1902", "< R 4294900161", "> RA 102 ack 200000"] {
        recipe(&format!("{opening}{outside} = window"));
    }
}

#[test]
fn an_rst_that_nobody_obeys_leaves_the_connection_as_it_was() {
    recipe(
        "> S  100         = new   SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 101 = pass  ESTABLISHED:SYN_SENT    tcp.opening
         > A  101 ack 901 = pass  ESTABLISHED:ESTABLISHED tcp.established
         > R  500         = loose ESTABLISHED:ESTABLISHED tcp.closing
         < A  901 ack 101 = pass  ESTABLISHED:ESTABLISHED tcp.established",
    );
}

#[test]
fn an_end_that_gives_up_in_the_middle_is_heard_although_segments_were_lost() {
    // Lost before the firewall: the RST names what it has not seen.
    recipe(
        "> S  100           = new   SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 101   = pass  ESTABLISHED:SYN_SENT    tcp.opening
         > A  101 ack 901   = pass  ESTABLISHED:ESTABLISHED tcp.established
         > RA 600 ack 901   = loose ESTABLISHED:ESTABLISHED tcp.closing",
    );
    // Lost behind it: the end is gone, and its kernel answers what still comes with what was acknowledged to it.
    recipe(
        "> S  100             = new   SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 101     = pass  ESTABLISHED:SYN_SENT    tcp.opening
         > A  101 ack 901     = pass  ESTABLISHED:ESTABLISHED tcp.established
         < PA 901+500 ack 101 = pass
         > A  101+10 ack 901  = pass
         < R  901             = loose ESTABLISHED:ESTABLISHED tcp.closing",
    );
}

#[test]
fn what_is_left_of_the_connection_before_does_not_end_the_new_one() {
    // The ports are used again at once. The old server's RST, on its way still, acknowledges nothing.
    recipe(
        "> S  100000              = new   SYN_SENT:CLOSED         tcp.first
         < R  349                 = loose
         < SA 900 ack 100001      = pass  ESTABLISHED:SYN_SENT    tcp.opening
         > A  100001 ack 901      = pass  ESTABLISHED:ESTABLISHED tcp.established",
    );
    // The old server is alive: its challenge is answered by an RST, and it lets go.
    recipe(
        "> S  500000              = new   SYN_SENT:CLOSED         tcp.first
         < A  229 ack 2397        = reset SYN_SENT:SYN_SENT       tcp.first
         > R  2397                = loose SYN_SENT:SYN_SENT       tcp.first
         > S  500000              = pass  SYN_SENT:SYN_SENT       tcp.opening
         < SA 900000 ack 500001   = pass  ESTABLISHED:SYN_SENT    tcp.opening",
    );
    // A late double of that RST, or a segment of the old client, comes before the new server's answer to the first SYN.
    recipe(
        "> S  3000000000            = new   SYN_SENT:CLOSED         tcp.first
         < A  229 ack 2397          = reset SYN_SENT:SYN_SENT       tcp.first
         > R  2397                  = loose SYN_SENT:SYN_SENT       tcp.first
         < SA 900000 ack 3000000001 = pass  ESTABLISHED:SYN_SENT    tcp.opening",
    );
    recipe(
        "> S  3000000000              = new   SYN_SENT:CLOSED         tcp.first
         < A  700229 ack 2397         = reset SYN_SENT:SYN_SENT       tcp.first
         > A  2397 ack 700229         = reset SYN_SENT:SYN_SENT       tcp.first
         < SA 900000 ack 3000000001   = pass  ESTABLISHED:SYN_SENT    tcp.opening
         > A  3000000001 ack 900001   = pass  ESTABLISHED:ESTABLISHED tcp.established
         < A  900001+9 ack 3000000001 = pass",
    );
}

#[test]
fn what_a_whole_window_has_overtaken_passes() {
    let opening = "> S  100000                   = new  SYN_SENT:CLOSED         tcp.first
                   < SA 900 ack 100001           = pass ESTABLISHED:SYN_SENT    tcp.opening
                   > A  100001 ack 901           = pass ESTABLISHED:ESTABLISHED tcp.established
                   < A  901 ack 100001 win 65535 = pass
                   > A  100001+65535 ack 901     = pass
                   < A  901 ack 165536 win 65535 = pass
                   > A  165536+65535 ack 901     = pass\n";
    for line in ["< A 901 ack 100001 win 65535", "> A 100001+1448 ack 901"] {
        recipe(&format!("{opening}{line} = pass"));
    }
}

#[test]
fn a_mismatch_while_opening_is_answered_and_the_server_may_try_again() {
    recipe(
        "> S  100000              = new   SYN_SENT:CLOSED      tcp.first
         < S  900                 = pass  SYN_SENT:SYN_SENT    tcp.opening
         < SA 500000 ack 77       = reset
         < SA 600000 ack 100001   = pass  ESTABLISHED:SYN_SENT tcp.opening
         > A  100001 ack 600001   = pass  ESTABLISHED:ESTABLISHED tcp.established",
    );
    recipe(
        "> S  100000         = new  SYN_SENT:CLOSED   tcp.first
         < S  900            = pass SYN_SENT:SYN_SENT tcp.opening
         < RA 5000000 ack 77 = loose",
    );
}

#[test]
fn windows_hold_to_the_octet() {
    // The client offers 1000, the server 500.
    let opening = "> S  100                 = new  SYN_SENT:CLOSED         tcp.first
                   < SA 900 ack 101 win 500 = pass ESTABLISHED:SYN_SENT    tcp.opening
                   > A  101 ack 901         = pass ESTABLISHED:ESTABLISHED tcp.established\n";
    let rows = [
        ("> A 101+500 ack 901", "pass"),
        ("> A 101+501 ack 901", "window"),
        ("< A 901+1000 ack 101", "pass"),
        ("< A 901+1001 ack 101", "window"),
        // A FIN behind the last octet of the window is let in.
        ("> A 600+1 ack 901", "pass"),
        ("> A 601+1 ack 901", "window"),
        // One window back is a retransmission, 67035 more a straggler. The client's next is taken for 100.
        ("< A 401+10 ack 101", "pass"),
        ("> A 4294899861+10 ack 901", "pass"),
        ("> A 4294899860+10 ack 901", "window"),
        // Acknowledgements, 67035 ahead and twice as many behind.
        ("> A 101 ack 67936", "pass"),
        ("> A 101 ack 67937", "window"),
        ("> A 101 ack 4294834127", "pass"),
        ("> A 101 ack 4294834126", "window"),
    ];
    for (line, outcome) in rows {
        recipe(&format!("{opening}{line} = {outcome}"));
    }
    // A FIN behind the last octet, and the acknowledgements that follow it.
    let fin = "> FA 101+500 ack 901 = pass CLOSING:ESTABLISHED tcp.closing
               > A  602     ack 901 = pass
               > A  602     ack 902 = pass";
    recipe(&format!("{opening}{fin}"));
}

#[test]
fn scaled_windows_hold_to_the_octet() {
    // The client's 1000 are of 8 octets, the server's 500 of 4; those of a SYN are octets, kept in units.
    let opening = "> S  100          win 1000 ws 3 = new  SYN_SENT:CLOSED         tcp.first
                   < SA 900  ack 101 win  500 ws 2 = pass ESTABLISHED:SYN_SENT    tcp.opening
                   > A  101  ack 901 win 1000      = pass ESTABLISHED:ESTABLISHED tcp.established
                   < A  901  ack 101 win  500      = pass\n";
    let rows = [
        ("> A 101+2000 ack 901", "pass"),
        ("> A 101+2001 ack 901", "window"),
        ("< A 901+8000 ack 101", "pass"),
        ("< A 901+8001 ack 101", "window"),
        // Behind what is acknowledged the skew is scaled too; ahead it is not.
        ("> A 101 ack 4294431917", "pass"),
        ("> A 101 ack 4294431916", "window"),
        ("> A 101 ack 67936", "pass"),
        ("> A 101 ack 67937", "window"),
    ];
    for (line, outcome) in rows {
        recipe(&format!("{opening}{line} = {outcome}"));
    }
}

#[test]
fn scaling_needs_both_sides() {
    // The server does not scale: the client's 1000 are octets again, and so are the server's.
    recipe(
        "> S  100         win 1000 ws 3 = new  SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 101 win 500       = pass ESTABLISHED:SYN_SENT    tcp.opening
         > A  101 ack 901 win 1000      = pass ESTABLISHED:ESTABLISHED tcp.established
         < A  901+1000 ack 101 win 500  = pass
         < A  1901+1   ack 101 win 500  = window
         > A  101+500 ack 901           = pass
         > A  601+1   ack 901           = window",
    );
}

#[test]
fn numbers_wrap() {
    recipe(
        "> S  4294967290              = new  SYN_SENT:CLOSED         tcp.first
         < SA 4294967295 ack 4294967291 = pass ESTABLISHED:SYN_SENT tcp.opening
         > A  4294967291 ack 1        = pass ESTABLISHED:ESTABLISHED tcp.established
         > PA 4294967291+50 ack 1     = pass
         < A  1+10 ack 45             = pass
         > FA 45   ack 11             = pass CLOSING:ESTABLISHED     tcp.closing
         < FA 11   ack 46             = pass FIN_WAIT_2:CLOSING      tcp.finwait
         > A  46   ack 12             = pass FIN_WAIT_2:FIN_WAIT_2   tcp.closed",
    );
}

#[test]
fn a_half_closed_connection_goes_on_in_the_other_direction() {
    recipe(
        "> S  100          = new  SYN_SENT:CLOSED         tcp.first
         < SA 900  ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
         > FA 101+10 ack 901 = pass CLOSING:ESTABLISHED   tcp.closing
         < A  901+1000 ack 112 = pass FIN_WAIT_2:ESTABLISHED tcp.closing
         > A  112  ack 1901 = pass
         < A  1901+1000 ack 112 = pass
         > A  112  ack 2901 = pass",
    );
}

#[test]
fn a_keep_alive_after_long_idle_passes() {
    recipe(
        "> S  100          = new  SYN_SENT:CLOSED         tcp.first
         < SA 900  ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
         > A  101  ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
         > A  100  ack 901 = pass
         > A  100+1 ack 901 = pass
         < A  901  ack 101 = pass",
    );
}

#[test]
fn after_the_end_packets_near_the_window_pass_loosely() {
    recipe(
        "> S  100000         = new  SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 100001 = pass ESTABLISHED:SYN_SENT    tcp.opening
         > A  100001 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
         < R  901            = pass TIME_WAIT:TIME_WAIT     tcp.closed
         > A  101002+1 ack 901 = loose
         > A  40000+1 ack 901  = pass
         > A  30000+1 ack 901  = window
         > A  300000+1 ack 901 = window
         > FA 168037 ack 901   = window
         > FA 168036 ack 901   = loose
         > R  5              = window",
    );
}

#[test]
fn what_is_loose_establishes_nothing() {
    // The server is silent still, and the client's second SYN, with another number, is let through near the window.
    recipe(
        "> S  100000 = new   SYN_SENT:CLOSED tcp.first
         > SA 160000 ack 5 = loose
         > R  160001       = loose TIME_WAIT:TIME_WAIT tcp.first",
    );
    recipe(
        "> S  100000        = new   SYN_SENT:CLOSED     tcp.first
         > FA 140000+10     = loose CLOSING:CLOSED      tcp.first
         > R  160000        = loose TIME_WAIT:TIME_WAIT tcp.first",
    );
}

#[test]
fn a_connection_that_is_picked_up_in_its_middle_settles() {
    recipe(
        "> A  5000+100 ack 777000 win 2000 = new  SYN_SENT:CLOSED         tcp.first
         < A  777000+50 ack 5100           = pass ESTABLISHED:SYN_SENT    tcp.opening
         > A  5100+20 ack 777050 win 2000  = pass ESTABLISHED:ESTABLISHED tcp.established
         < A  777050+1500 ack 5120         = pass
         < A  778550+501 ack 5120          = window",
    );
}

#[test]
fn a_side_whose_syn_went_by_unseen_may_scale_as_far_as_tcp_goes() {
    // The server's SYN went through the node that died. Its windows count in units that nobody here knows, the client's
    // in 1024 octets.
    recipe(
        "> S  100000 win 64240 ws 10          = new   SYN_SENT:CLOSED         tcp.first
         > A  100001 ack 901 win 63           = pass  SYN_SENT:CLOSED         tcp.opening
         < A  901+1460 ack 100001 win 64      = pass  ESTABLISHED:SYN_SENT    tcp.opening
         > A  100001+9 ack 2361 win 63        = pass  ESTABLISHED:ESTABLISHED tcp.established
         < A  60000+1460 ack 100010 win 64    = pass
         > A  180000+1460 ack 61460 win 63    = pass
         < A  125971+1 ack 181460 win 64      = pass
         < A  125972+1 ack 181460 win 64      = window",
    );
    // Where the client offered no scale there is none.
    recipe(
        "> S  100000 win 64              = new  SYN_SENT:CLOSED         tcp.first
         < A  901+64 ack 100001 win 64   = pass ESTABLISHED:SYN_SENT    tcp.opening
         > A  100001+9 ack 965 win 64    = pass ESTABLISHED:ESTABLISHED tcp.established
         < A  1029+1 ack 100010 win 64   = window",
    );
}

#[test]
fn a_syn_proxied_connection_is_left_to_its_proxy() {
    let mut record = follow(Family::V4, 0, "> S 100 = new SYN_SENT:CLOSED tcp.first");
    for state in [11, 12] {
        record.hot.peer_state[0] = state;
        for (forward, flags) in [(true, 2), (true, 16), (false, 18), (false, 4)] {
            let facts = packet(Family::V4, forward, TcpFacts { flags, seq: 100, ..TcpFacts::default() });
            let outcome = track(&mut record.hot, &mut record.track, &facts, Tick(9));
            assert_eq!(outcome, Outcome::Drop(DropReason::SynProxy));
        }
    }
}

#[test]
fn sloppy_tracking_asks_for_no_numbers() {
    sloppy_recipe(
        "> S  100        = new  SYN_SENT:CLOSED         tcp.first
         < SA 7  ack 555 = pass ESTABLISHED:SYN_SENT    tcp.opening
         > A  9  ack 9   = pass ESTABLISHED:ESTABLISHED tcp.established
         > A  3000000000+9000 ack 1 = pass
         < FA 1  ack 1   = pass ESTABLISHED:CLOSING     tcp.closing
         > FA 1  ack 1   = pass CLOSING:FIN_WAIT_2      tcp.finwait
         < A  1  ack 1   = pass FIN_WAIT_2:FIN_WAIT_2   tcp.closed
         > S  7          = retire",
    );
    sloppy_recipe(
        "> S  100        = new  SYN_SENT:CLOSED     tcp.first
         < R  4000000000 = pass TIME_WAIT:TIME_WAIT tcp.closed",
    );
}

#[test]
fn sloppy_tracking_does_with_one_direction() {
    sloppy_recipe(
        "> S  100          = new  SYN_SENT:CLOSED         tcp.first
         > A  101  ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
         > A  101+9 ack 901 = pass
         > S  500          = challenge
         > FA 110  ack 901 = pass CLOSING:CLOSING         tcp.finwait
         > A  111  ack 902 = pass CLOSING:FIN_WAIT_2      tcp.finwait",
    );
}

#[test]
fn a_class_that_a_peer_told_wrongly_is_mended_by_the_next_packet() {
    let opening = "> S  100         = new  SYN_SENT:CLOSED         tcp.first
                   < SA 900 ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
                   > A  101 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established";
    for flags in [0, pf_flags::SLOPPY] {
        let mut record = follow(Family::V6, flags, opening);
        record.hot.timeout = timeout_class::TCP_CLOSED;
        let (forward, tcp) = packet_of("> A 101+10 ack 901 =");
        let facts = packet(Family::V6, forward, tcp);
        assert_eq!(track(&mut record.hot, &mut record.track, &facts, Tick(9)), Outcome::Pass);
        assert_eq!(record.hot.timeout, timeout_class::TCP_ESTABLISHED);
    }
}
