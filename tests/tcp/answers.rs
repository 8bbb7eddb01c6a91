//! Answers to dropped TCP packets, through the C API: they let a client reuse its ports.
#![expect(clippy::multiple_unsafe_ops_per_block, reason = "every line calls the C API")]

use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};
use pfplane::internals::ffi::*;
use pfplane::internals::packet::tcp_flags::{ACK, RST, SYN};
use pfplane::internals::packet::{Direction, Facts, Link, parse};
use pfplane_testkit::Packet;

const FORWARD: u8 = PFPLANE_IN;
const REVERSE: u8 = PFPLANE_OUT;

struct Firewall {
    engine: *mut pfplane_engine,
    lane: *mut pfplane_lane,
    now_ns: u64,
}

impl Firewall {
    fn new() -> Self {
        let mut config = MaybeUninit::uninit();
        let (mut engine, mut lane) = (null_mut(), null_mut());
        // SAFETY: `config` is writable and its size correct; the later calls use what the earlier ones wrote.
        unsafe {
            assert_eq!(
                pfplane_config_init(config.as_mut_ptr(), size_of::<pfplane_config>() as u32),
                PFPLANE_OK
            );
            assert_eq!(pfplane_engine_new(config.as_ptr(), &mut engine), PFPLANE_OK);
            assert_eq!(pfplane_engine_lane(engine, 0, &mut lane), PFPLANE_OK);
        }
        Self { engine, lane, now_ns: 1_000_000_000 }
    }

    fn burst(&self, direction: u8) -> pfplane_burst {
        pfplane_burst {
            size: size_of::<pfplane_burst>() as u32,
            direction,
            link: PFPLANE_LINK_IP,
            trust_hash: 0,
            leave: 1,
            now_ns: self.now_ns,
        }
    }

    /// Looks a packet up, creates its state if there is none, and requests the answer.
    fn process(&mut self, direction: u8, bytes: &[u8]) -> (pfplane_verdict, Option<Facts>) {
        self.now_ns += 1_000_000;
        let burst = self.burst(direction);
        let packet = pfplane_packet {
            data: bytes.as_ptr().cast_mut(),
            length: bytes.len() as u32,
            packet_length: 0,
            hash: 0,
            headroom: 0,
            flags: 0,
        };
        let mut verdict = MaybeUninit::uninit();
        let mut out = [0u8; PFPLANE_ANSWER_MAX as usize];
        let mut length = u32::MAX;
        // SAFETY: the packet's bytes are valid, every output is writable, and the lane belongs to this thread.
        let verdict = unsafe {
            assert_eq!(pfplane_lane_lookup(self.lane, &burst, &packet, 1, verdict.as_mut_ptr()), PFPLANE_OK);
            if verdict.assume_init().action == PFPLANE_NEW {
                let status =
                    pfplane_lane_state_create(self.lane, &burst, &packet, null(), verdict.as_mut_ptr());
                assert_eq!(status, PFPLANE_OK);
            }
            let verdict = verdict.assume_init();
            let (capacity, buffer) = (out.len() as u32, out.as_mut_ptr());
            let status =
                pfplane_lane_answer(self.lane, &burst, &packet, &verdict, buffer, capacity, &mut length);
            assert_eq!(status, PFPLANE_OK);
            verdict
        };
        let reverse = if direction == FORWARD { Direction::Out } else { Direction::In };
        let answer = (length > 0)
            .then(|| parse(&out[..length as usize], length, Link::Ip, reverse).expect("a packet"));
        (verdict, answer)
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        // SAFETY: the engine is not used afterwards.
        unsafe { pfplane_engine_free(self.engine) };
    }
}

fn open(firewall: &mut Firewall, v6: bool) -> Packet {
    let syn = Packet::syn(v6, 1, 2, [4000, 80]);
    assert_eq!(firewall.process(FORWARD, &syn.tcp()).0.action, PFPLANE_PASS);
    assert_eq!(firewall.process(REVERSE, &syn.syn_ack().tcp()).0.action, PFPLANE_PASS);
    let (verdict, answer) = firewall.process(FORWARD, &syn.data(1001, 5001, 0).tcp());
    assert_eq!((verdict.action, answer), (PFPLANE_PASS, None));
    syn
}

#[test]
fn a_client_that_reuses_ports_is_challenged_and_then_admitted() {
    for v6 in [false, true] {
        let mut firewall = Firewall::new();
        let syn = open(&mut firewall, v6);
        let second_syn = Packet { seq: 900_000, ..syn };
        let (verdict, answer) = firewall.process(FORWARD, &second_syn.tcp());
        assert_eq!((verdict.action, verdict.reason), (PFPLANE_DROP, PFPLANE_REASON_CHALLENGE_ACK));
        let challenge = answer.expect("a challenge").tcp;
        // A live client must discard it, so it lies far before the window.
        assert_eq!(
            (challenge.seq, challenge.ack, challenge.flags),
            (5001u32.wrapping_sub(1 << 30), 1000, ACK)
        );
        // A client without the connection resets it (RFC 9293, 3.10.7.3).
        let reset = Packet { seq: challenge.ack, ack: 0, flags: RST, wscale: None, ..syn };
        assert_eq!(firewall.process(FORWARD, &reset.tcp()).0.action, PFPLANE_PASS);
        assert_eq!(firewall.process(FORWARD, &second_syn.tcp()).0.action, PFPLANE_PASS);
        let old_ack = Packet { seq: 5001, ack: 1001, flags: ACK, wscale: None, ..syn.syn_ack() };
        let (verdict, answer) = firewall.process(REVERSE, &old_ack.tcp());
        assert_eq!((verdict.action, verdict.reason), (PFPLANE_DROP, PFPLANE_REASON_RESET));
        // The old server gets an RST with exactly the number it expects.
        let reset = answer.expect("a reset").tcp;
        assert_eq!((reset.seq, reset.ack, reset.flags), (1001, 0, RST));
        let syn_ack = Packet { seq: 70_000, ack: 900_001, flags: SYN | ACK, ..syn.syn_ack() };
        assert_eq!(firewall.process(REVERSE, &syn_ack.tcp()).0.action, PFPLANE_PASS);
    }
}

#[test]
fn other_drops_and_verdicts_of_other_states_are_not_answered() {
    let mut firewall = Firewall::new();
    let syn = open(&mut firewall, true);
    let (verdict, answer) = firewall.process(FORWARD, &syn.data(900_000, 5001, 10).tcp());
    assert_eq!((verdict.reason, answer), (PFPLANE_REASON_WINDOW, None));
    let bytes = Packet { seq: 5, ..syn }.tcp();
    let packet = pfplane_packet {
        data: bytes.as_ptr().cast_mut(),
        length: bytes.len() as u32,
        packet_length: 0,
        hash: 0,
        headroom: 0,
        flags: 0,
    };
    let burst = firewall.burst(FORWARD);
    let mut out = [0u8; PFPLANE_ANSWER_MAX as usize];
    let mut length = 9;
    let mut answer = |verdict: &pfplane_verdict, capacity: u32| {
        // SAFETY: all pointers are valid; `capacity` does not exceed the buffer.
        let status = unsafe {
            pfplane_lane_answer(
                firewall.lane,
                &burst,
                &packet,
                verdict,
                out.as_mut_ptr(),
                capacity,
                &mut length,
            )
        };
        (status, length)
    };
    let challenge = pfplane_verdict { reason: PFPLANE_REASON_CHALLENGE_ACK, ..verdict };
    assert_eq!(answer(&challenge, PFPLANE_ANSWER_MAX), (PFPLANE_OK, 60));
    for slot in [verdict.slot + 1, u32::MAX] {
        assert_eq!(
            answer(&pfplane_verdict { slot, ..challenge }, PFPLANE_ANSWER_MAX),
            (PFPLANE_OK, 0),
            "{slot}"
        );
    }
    assert_eq!(
        answer(&pfplane_verdict { action: PFPLANE_PASS, ..challenge }, PFPLANE_ANSWER_MAX),
        (PFPLANE_OK, 0)
    );
    assert_eq!(answer(&challenge, PFPLANE_ANSWER_MAX - 1).0, PFPLANE_ERROR_BUFFER);
    // SAFETY: the library returns a NUL-terminated text.
    let text = unsafe { CStr::from_ptr(pfplane_last_error()) }.to_str().unwrap();
    assert!(text.contains("95") && text.contains("96"), "{text}");
}
