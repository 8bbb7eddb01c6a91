//! Resets.

use super::*;

/// The recipes of this file.
pub(super) const RECIPES: &[fn()] = &[
    an_rst_must_be_exact,
    a_segment_after_an_unproven_rst_restores_the_timeout,
    an_rst_after_lost_segments_passes_unproven,
];

#[test]
fn an_rst_must_be_exact() {
    // The next bytes are 901 of the server and, until it sends data, 100 of the client; windows 1000.
    let opening = "> S  100         = new  SYN_SENT:CLOSED         tcp.first
                   < SA 900 ack 101 = pass ESTABLISHED:SYN_SENT    tcp.opening
                   > A  101 ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established\n";
    let end = "TIME_WAIT:TIME_WAIT tcp.closed";
    for exact in ["> R 99", "> R 100", "> R 101", "< R 900", "< R 901", "< R 902", "> RA 50 ack 901"] {
        recipe(&format!("{opening}{exact} = pass {end}"));
    }
    // Elsewhere in the window it passes, for the other end to decide, and changes no state. The window begins 1000 + 67035
    // bytes before the next byte.
    let unproven =
        ["> R 98", "> R 102", "< R 899", "< R 903", "> RA 50 ack 900", "> RA 102 ack 901", "> R 1101"];
    for line in unproven.into_iter().chain(["> R 4294899361", "< R 1901", "< R 4294900162"]) {
        recipe(&format!("{opening}{line} = loose ESTABLISHED:ESTABLISHED tcp.closing"));
    }
    for outside in ["> R 1102", "> R 4294899360", "< R 1902", "< R 4294900161", "> RA 102 ack 200000"] {
        recipe(&format!("{opening}{outside} = window"));
    }
}

#[test]
fn a_segment_after_an_unproven_rst_restores_the_timeout() {
    recipe(
        "> S  100         = new   SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 101 = pass  ESTABLISHED:SYN_SENT    tcp.opening
         > A  101 ack 901 = pass  ESTABLISHED:ESTABLISHED tcp.established
         > R  500         = loose ESTABLISHED:ESTABLISHED tcp.closing
         < A  901 ack 101 = pass  ESTABLISHED:ESTABLISHED tcp.established",
    );
}

#[test]
fn an_rst_after_lost_segments_passes_unproven() {
    // Lost before the firewall: the RST has a number beyond what was seen.
    recipe(
        "> S  100           = new   SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 101   = pass  ESTABLISHED:SYN_SENT    tcp.opening
         > A  101 ack 901   = pass  ESTABLISHED:ESTABLISHED tcp.established
         > RA 600 ack 901   = loose ESTABLISHED:ESTABLISHED tcp.closing",
    );
    // Lost behind the firewall: the process is gone, and its kernel answers later segments with their acknowledgement.
    recipe(
        "> S  100             = new   SYN_SENT:CLOSED         tcp.first
         < SA 900 ack 101     = pass  ESTABLISHED:SYN_SENT    tcp.opening
         > A  101 ack 901     = pass  ESTABLISHED:ESTABLISHED tcp.established
         < PA 901+500 ack 101 = pass
         > A  101+10 ack 901  = pass
         < R  901             = loose ESTABLISHED:ESTABLISHED tcp.closing",
    );
}
