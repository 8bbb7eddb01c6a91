//! Whether a connection was open at the firewall at a moment, from what both cables saw. Where the cables cannot tell
//! whether the firewall had seen the end already, it counts as ended: this excuses, and only what it excuses.

use pfplane_demo::clock::Nanos;

use crate::frame::{FIN, RST, SYN};
use crate::recorder::{Name, Place, Recorder};

/// Whether the firewall had seen both SYNs acknowledged before `at`, and no FIN or RST.
pub fn was_open(cables: [&Recorder; 2], name: Name, at: Nanos) -> bool {
    let mut answered = [false; 2];
    let mut over = false;
    for (side, cable) in cables.into_iter().enumerate() {
        let sights = cable.logs.get(&name).map_or(&[][..], |log| &log.sights);
        for sight in sights.iter().filter(|sight| !sight.forged && sight.at <= at) {
            answered[side] |= sight.place == Place::FromFirewall && sight.flags & (SYN | RST) == 0;
            over |= sight.place == Place::ToFirewall && sight.flags & (FIN | RST) != 0;
        }
    }
    answered == [true; 2] && !over
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ACK;
    use crate::recorder::{Log, Sight};

    const NAME: Name = (true, 5);

    fn cable(sights: &[(Nanos, Place, u8)]) -> Recorder {
        let sight = |&(at, place, flags): &(Nanos, Place, u8)| Sight {
            at,
            place,
            flags,
            to_end: false,
            seq: 0,
            ack: 0,
            window: 0,
            length: 0,
            forged: false,
        };
        let mut cable = Recorder::default();
        cable.logs.insert(NAME, Log { client_port: 1, sights: sights.iter().map(sight).collect() });
        cable
    }

    #[test]
    fn it_is_open_between_both_answers_and_the_first_fin_into_the_firewall() {
        let client = cable(&[(1, Place::ToFirewall, SYN), (4, Place::FromFirewall, ACK)]);
        let server = cable(&[(3, Place::FromFirewall, ACK), (9, Place::ToFirewall, FIN)]);
        let open: Vec<Nanos> = (0..12).filter(|at| was_open([&client, &server], NAME, *at)).collect();
        assert_eq!(open, [4, 5, 6, 7, 8]);
        assert!(!was_open([&client, &server], (false, 5), 6));
    }
}
