//! Answers to dropped TCP packets: they let a client use its ports again.

use super::world::*;
use pfplane::internals::ffi::*;
use pfplane::internals::packet::tcp_flags::{ACK, RST, SYN};
use pfplane::internals::packet::{Direction, Facts, Link, parse};
use pfplane_testkit::Packet;

struct Firewall {
    engine: Engine,
    now_ns: u64,
}

impl Firewall {
    fn new() -> Self {
        Self { engine: Engine::new(&config()), now_ns: SECOND }
    }

    fn burst(&self, direction: u8) -> pfplane_burst {
        pfplane_burst { host_rewrites: 1, ..burst(direction, self.now_ns) }
    }

    /// Looks a packet up, creates its state when it has none, and builds the answer.
    fn meets(&mut self, direction: u8, bytes: &[u8]) -> (pfplane_verdict, Option<Facts>) {
        self.now_ns += MS;
        let (burst, lane) = (self.burst(direction), self.engine.lane(0));
        let mut verdict = lane.look_up(&burst, bytes);
        if verdict.action == PFPLANE_NEW {
            verdict = lane.create(&burst, bytes);
        }
        let (status, answer) = self.answer(&burst, bytes, &verdict, PFPLANE_MAX_ANSWER);
        assert_eq!(status, PFPLANE_OK);
        let back = if direction == PFPLANE_IN { Direction::Out } else { Direction::In };
        let parsed = |answer: Vec<u8>| parse(&answer, answer.len() as u32, Link::Ip, back).expect("a packet");
        (verdict, (!answer.is_empty()).then(|| parsed(answer)))
    }

    fn answer(
        &self,
        burst: &pfplane_burst,
        bytes: &[u8],
        verdict: &pfplane_verdict,
        capacity: u32,
    ) -> (i32, Vec<u8>) {
        let (mut buffer, mut length) = (vec![0; PFPLANE_MAX_ANSWER as usize], 0);
        let (lane, packet) = (self.engine.lane(0), packet(bytes));
        let (burst, packet, verdict) = (Some(burst), Some(&packet), Some(verdict));
        let (start, length_out) = (buffer.as_mut_ptr(), out(&mut length));
        let status =
            unsafe { pfplane_lane_answer(lane.read(), burst, packet, verdict, start, capacity, length_out) };
        buffer.truncate(length as usize);
        (status, buffer)
    }

    fn open(&mut self, v6: bool) -> Packet {
        let syn = Packet::syn(v6, 1, 2, [4000, 80]);
        assert_eq!(self.meets(PFPLANE_IN, &syn.tcp()).0.action, PFPLANE_PASS);
        assert_eq!(self.meets(PFPLANE_OUT, &syn.syn_ack().tcp()).0.action, PFPLANE_PASS);
        let (verdict, answer) = self.meets(PFPLANE_IN, &syn.data(1001, 5001, 0).tcp());
        assert_eq!((verdict.action, answer), (PFPLANE_PASS, None));
        syn
    }
}

#[test]
fn a_client_that_reuses_the_ports_of_a_live_connection_is_challenged_and_admitted() {
    for v6 in [false, true] {
        let mut firewall = Firewall::new();
        let syn = firewall.open(v6);
        let again = Packet { seq: 900_000, ..syn };
        let (verdict, answer) = firewall.meets(PFPLANE_IN, &again.tcp());
        assert_eq!((verdict.action, verdict.reason), (PFPLANE_DROP, PFPLANE_REASON_CHALLENGE_ACK));
        let challenge = answer.expect("a challenge").tcp;
        // A live client must not accept it: its sequence number is far before the expected one.
        assert_eq!(
            (challenge.seq, challenge.ack, challenge.flags),
            (5001u32.wrapping_sub(1 << 30), 1000, ACK)
        );
        // A client that has forgotten the connection answers so (RFC 9293, 3.10.7.3).
        let reset = Packet { seq: challenge.ack, ack: 0, flags: RST, wscale: None, ..syn };
        assert_eq!(firewall.meets(PFPLANE_IN, &reset.tcp()).0.action, PFPLANE_PASS);
        assert_eq!(firewall.meets(PFPLANE_IN, &again.tcp()).0.action, PFPLANE_PASS);
        let old_ack = Packet { seq: 5001, ack: 1001, flags: ACK, wscale: None, ..syn.syn_ack() };
        let (verdict, answer) = firewall.meets(PFPLANE_OUT, &old_ack.tcp());
        assert_eq!((verdict.action, verdict.reason), (PFPLANE_DROP, PFPLANE_REASON_RESET));
        // The reset has the number that the old server expects, so it drops its connection.
        let reset = answer.expect("a reset").tcp;
        assert_eq!((reset.seq, reset.ack, reset.flags), (1001, 0, RST));
        let welcome = Packet { seq: 70_000, ack: 900_001, flags: SYN | ACK, ..syn.syn_ack() };
        assert_eq!(firewall.meets(PFPLANE_OUT, &welcome.tcp()).0.action, PFPLANE_PASS);
    }
}

#[test]
fn other_drops_and_foreign_verdicts_are_not_answered() {
    let mut firewall = Firewall::new();
    let syn = firewall.open(true);
    let (verdict, answer) = firewall.meets(PFPLANE_IN, &syn.data(900_000, 5001, 10).tcp());
    assert_eq!((verdict.reason, answer), (PFPLANE_REASON_WINDOW, None));
    let bytes = Packet { seq: 5, ..syn }.tcp();
    let burst = firewall.burst(PFPLANE_IN);
    let answer = |verdict: &pfplane_verdict, capacity: u32| {
        let (status, answer) = firewall.answer(&burst, &bytes, verdict, capacity);
        (status, answer.len())
    };
    let challenge = pfplane_verdict { reason: PFPLANE_REASON_CHALLENGE_ACK, ..verdict };
    assert_eq!(answer(&challenge, PFPLANE_MAX_ANSWER), (PFPLANE_OK, 60));
    for slot in [verdict.slot + 1, u32::MAX] {
        let foreign = pfplane_verdict { slot, ..challenge };
        assert_eq!(answer(&foreign, PFPLANE_MAX_ANSWER), (PFPLANE_OK, 0), "{slot}");
    }
    let passed = pfplane_verdict { action: PFPLANE_PASS, ..challenge };
    assert_eq!(answer(&passed, PFPLANE_MAX_ANSWER), (PFPLANE_OK, 0));
    assert_eq!(answer(&challenge, PFPLANE_MAX_ANSWER - 1).0, PFPLANE_ERROR_BUFFER);
    let text = last_error();
    assert!(text.contains("95") && text.contains("96"), "{text}");
}
