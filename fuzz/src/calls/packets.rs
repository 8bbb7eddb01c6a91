//! Packets and facts: lookups, creations, hand-offs, answers.

use super::host::Host;
use super::{check, empty, out, size};
use crate::input::Input;
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

/// Hand-offs of one packet: to the owner of its key, and on to the owner of its translated state.
const MAX_HAND_OFFS: usize = 3;

impl Host {
    /// Draws a packet of one of a few connections, so that calls meet.
    pub(super) fn packet(&mut self, lane: u32, input: &mut Input<'_>) {
        let (what, how) = (input.byte(), input.byte());
        let mut packet =
            Packet::syn(what & 1 == 1, u32::from(what >> 1 & 7), 1, [2000 + u16::from(what >> 4), 80]);
        let is_reply = how & 1 == 1;
        packet.seq = 1000 + u32::from(how >> 6);
        packet.flags = [2, 2, 18, 16, 17, 4, 20, 0][usize::from(how >> 1 & 7)];
        packet.ack = 5000;
        let headers = if is_reply { packet.reversed() } else { packet };
        let mut bytes = match how >> 4 & 3 {
            0 | 1 => headers.tcp(),
            2 => headers.udp(),
            _ => headers.echo(is_reply),
        };
        self.forward(lane, &mut bytes, is_reply, how);
    }

    pub(super) fn raw_packet(&mut self, lane: u32, input: &mut Input<'_>) {
        let (how, length) = (input.byte(), usize::from(input.byte()));
        let mut bytes = input.take(length).to_vec();
        self.forward(lane, &mut bytes, how & 1 == 1, how);
    }

    /// Looks a packet up, follows hand-offs, and creates its state.
    pub(super) fn forward(&mut self, lane: u32, bytes: &mut [u8], is_reply: bool, how: u8) {
        let direction = if is_reply { PFPLANE_OUT } else { PFPLANE_IN };
        let (size, link, now_ns) = (size::<pfplane_burst>(), PFPLANE_LINK_IP, self.now);
        let burst = pfplane_burst {
            size,
            direction,
            link,
            trust_hash: how >> 7,
            host_rewrites: how >> 6 & 1,
            now_ns,
            rdomain: u16::from(how >> 4 & 1),
            reserved: [0; 6],
        };
        let (data, length) = (bytes.as_mut_ptr(), bytes.len() as u32);
        let packet =
            pfplane_packet { data, length, packet_length: 0, hash: u32::from(how), headroom: 0, flags: 0 };
        let mut lane = lane;
        for _ in 0..=MAX_HAND_OFFS {
            let mut verdict: pfplane_verdict = empty();
            // SAFETY: one packet and one verdict.
            let status = unsafe {
                pfplane_lane_lookup(self.lane(lane), Some(&burst), &raw const packet, 1, &raw mut verdict)
            };
            check(status, &[]);
            if verdict.action == PFPLANE_NEW {
                let options = options(how);
                // SAFETY: the packet's bytes are this call's.
                let status = unsafe {
                    pfplane_lane_state_create(
                        self.lane(lane),
                        Some(&burst),
                        Some(&packet),
                        Some(&options),
                        out(&mut verdict),
                    )
                };
                check(status, &[]);
            }
            match verdict.action {
                PFPLANE_HANDOFF => lane = u32::from(verdict.lane),
                PFPLANE_HELD => return self.hold(lane, verdict.slot),
                PFPLANE_DROP => return self.answer(lane, &burst, &packet, &verdict),
                _ => return,
            }
            assert!(lane < self.lanes, "a packet is handed off to lane {lane} of {}", self.lanes);
        }
        panic!("a packet is handed off in circles");
    }

    pub(super) fn hold(&mut self, lane: u32, slot: u32) {
        self.handles += 1;
        if check(pfplane_lane_hold(self.lane(lane), slot, self.handles), &[PFPLANE_ERROR_FULL]) {
            self.held.insert(self.handles);
        }
    }

    pub(super) fn answer(
        &self,
        lane: u32,
        burst: &pfplane_burst,
        packet: &pfplane_packet,
        verdict: &pfplane_verdict,
    ) {
        let (mut buffer, mut length) = ([0; PFPLANE_MAX_ANSWER as usize], 0);
        let lane = self.lane(lane).map(|lane| &*lane);
        // SAFETY: the buffer has the capacity that is stated.
        let status = unsafe {
            pfplane_lane_answer(
                lane,
                Some(burst),
                Some(packet),
                Some(verdict),
                buffer.as_mut_ptr(),
                PFPLANE_MAX_ANSWER,
                out(&mut length),
            )
        };
        check(status, &[]);
        assert!(length <= PFPLANE_MAX_ANSWER);
    }

    /// Looks up facts that a host has parsed, sound or not.
    pub(super) fn facts(&mut self, lane: u32, input: &mut Input<'_>) {
        let mut facts: pfplane_facts = empty();
        facts.size = size::<pfplane_facts>();
        let what = input.byte();
        (facts.family, facts.kind) = (4 + (what & 1) * 2, what >> 1 & 7);
        (facts.proto, facts.tcp_flags) = (input.byte(), input.byte());
        facts.source[0] = what >> 4;
        facts.destination[0] = 1;
        (facts.source_port, facts.destination_port) = (u16::from(input.byte()), 80);
        facts.icmp_error = u8::from(what >> 1 & 7 == 5);
        (facts.ip_length, facts.tcp_payload) = (input.word().into(), input.word().into());
        let (size, now_ns) = (size::<pfplane_burst>(), self.now);
        let burst =
            pfplane_burst { size, direction: PFPLANE_IN, link: 1, host_rewrites: 1, now_ns, ..empty() };
        let mut verdict: pfplane_verdict = empty();
        // SAFETY: one element each.
        let status = unsafe {
            pfplane_lane_lookup_facts(self.lane(lane), Some(&burst), &raw const facts, 1, &raw mut verdict)
        };
        if check(status, &[PFPLANE_ERROR_ARGUMENT]) && verdict.action == PFPLANE_NEW {
            let lane = self.lane(lane);
            let status =
                pfplane_lane_state_create_facts(lane, Some(&burst), Some(&facts), None, out(&mut verdict));
            check(status, &[PFPLANE_ERROR_ARGUMENT]);
            if verdict.action == PFPLANE_HELD {
                self.hold(u32::from(input.byte()) % self.lanes, verdict.slot);
            }
        }
        check(
            pfplane_lane_state_kill_key(self.lane(lane), Some(&burst), Some(&facts)),
            &[PFPLANE_END, PFPLANE_ERROR_ARGUMENT],
        );
    }
}

/// Draws the options of a state: some are translated, some limited, some picked up.
fn options(how: u8) -> pfplane_state_options {
    let mut options: pfplane_state_options = empty();
    check(pfplane_state_options_init(out(&mut options), size::<pfplane_state_options>()), &[]);
    options.pickup = how >> 1 & 1;
    options.rule = u32::from(how >> 5);
    if how & 12 == 12 {
        options.nat = PFPLANE_NAT_SOURCE | PFPLANE_NAT_SOURCE_PORT;
        options.nat_source[..4].copy_from_slice(&[203, 0, 113, 1]);
        options.nat_source_ports = [40_000, 40_007];
    }
    if how & 0x30 == 0x30 {
        options.source_limits.max_src_states = 2;
    }
    options
}
