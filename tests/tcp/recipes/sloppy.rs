//! Sloppy tracking.

use super::*;

/// The recipes of this file.
pub(super) const RECIPES: &[fn()] =
    &[sloppy_tracking_ignores_sequence_numbers, sloppy_tracking_works_with_one_direction];

#[test]
fn sloppy_tracking_ignores_sequence_numbers() {
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
fn sloppy_tracking_works_with_one_direction() {
    sloppy_recipe(
        "> S  100          = new  SYN_SENT:CLOSED         tcp.first
         > A  101  ack 901 = pass ESTABLISHED:ESTABLISHED tcp.established
         > A  101+9 ack 901 = pass
         > S  500          = challenge
         > FA 110  ack 901 = pass CLOSING:CLOSING         tcp.finwait
         > A  111  ack 902 = pass CLOSING:FIN_WAIT_2      tcp.finwait",
    );
}
