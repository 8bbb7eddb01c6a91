//! An oracle for TCP tracking, plain and slow: written from the text of protocol 7.4 to 7.6, independently of `src/state`.
//! Comments with "Unlike pf" mark the intended differences.

use pfplane::internals::packet::tcp_flags::{ACK, FIN, RST, SYN};
use pfplane::internals::packet::{Direction, Facts};
use pfplane::internals::state::{Outcome, Peer, Record};

/// One side of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Side {
    pub seqlo: u32,
    pub seqhi: u32,
    pub max_win: i64,
    pub seqdiff: u32,
    /// The shift, if the option was seen.
    pub scale: Option<u32>,
    pub state: u8,
}

/// A connection.
#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    pub sides: [Side; 2],
    pub class: u8,
    pub last_activity: u32,
    pub sloppy: bool,
    direction: Direction,
}

/// What pf does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Pass,
    Loose,
    Retire,
    ChallengeAck,
    DropAndReset,
    Drop,
}

/// Returns the distance from `b` to `a` in sequence space, negative if `a` is before `b`.
fn distance(a: u32, b: u32) -> i64 {
    let forward = (i64::from(a) - i64::from(b)).rem_euclid(1 << 32);
    if forward < 1 << 31 { forward } else { forward - (1 << 32) }
}

fn plus(a: u32, b: i64) -> u32 {
    (i64::from(a) + b).rem_euclid(1 << 32) as u32
}

fn scale_option(byte: u8) -> Option<u32> {
    if byte & 0x80 == 0 { None } else { Some(u32::from(byte & 0x0f).min(14)) }
}

/// Divides by the unit of a shift and rounds up.
fn divide(window: i64, shift: u32) -> i64 {
    let unit = 1 << shift;
    (window + unit - 1) / unit
}

impl Oracle {
    /// Section 7.4.
    pub(crate) fn create(facts: &Facts, sloppy: bool, now: u32) -> Self {
        let tcp = &facts.tcp;
        let mut src = Side { seqlo: tcp.seq, state: 2, ..Side::default() };
        let mut more = i64::from(tcp.payload) + 1;
        if tcp.flags & SYN != 0 {
            more += 1;
            src.scale = scale_option(tcp.wscale);
        }
        if tcp.flags & FIN != 0 {
            more += 1;
        }
        src.seqhi = plus(tcp.seq, more);
        src.max_win = i64::from(tcp.window);
        if src.max_win == 0 {
            src.max_win = 1;
        }
        if let Some(shift) = src.scale {
            src.max_win = divide(src.max_win, shift);
        }
        let dst = Side { seqhi: 1, max_win: 1, ..Side::default() };
        Self { sides: [src, dst], class: 0, last_activity: now, sloppy, direction: facts.direction }
    }

    /// The checks before tracking, then full or sloppy tracking.
    pub(crate) fn track(&mut self, facts: &Facts, now: u32) -> Decision {
        let flags = facts.tcp.flags;
        if flags & SYN != 0 && flags & ACK == 0 {
            if self.sides[0].state >= 9 && self.sides[1].state >= 9 {
                return Decision::Retire;
            }
            if self.sides[0].state >= 4 && self.sides[1].state >= 4 {
                return Decision::ChallengeAck;
            }
        }
        let s = if facts.direction == self.direction { 0 } else { 1 };
        // Unlike pf: a server's SYN-ACK on a closed connection is dropped, unless it is a late duplicate.
        let is_closed = self.sides[0].state >= 9 && self.sides[1].state >= 9;
        let [src, dst] = [self.sides[0].seqlo, self.sides[1].seqlo];
        let is_old = distance(dst, plus(facts.tcp.seq, 1)) >= 0 && distance(src, facts.tcp.ack) >= 0;
        let may_be_old = dst == 0 || is_old;
        if is_closed && s == 1 && flags & SYN != 0 && flags & ACK != 0 && !self.sloppy && !may_be_old {
            return Decision::Drop;
        }
        if self.sloppy { self.track_sloppy(flags, s, now) } else { self.track_full(facts, s, now) }
    }

    /// Section 7.5; the numbers are its steps.
    fn track_full(&mut self, facts: &Facts, s: usize, now: u32) -> Decision {
        const K: i64 = 67_035;
        let tcp = &facts.tcp;
        let flags = tcp.flags;
        let d = 1 - s;
        let [mut sender, mut other] = [self.sides[s], self.sides[d]];
        // Unlike pf: an RST without ACK before a side's first segment has no effect.
        if sender.seqlo == 0 && flags & RST != 0 && flags & ACK == 0 {
            return Decision::Loose;
        }
        // Unlike pf: a side whose SYN was not seen gets the largest scale.
        let is_near = distance(other.seqlo, plus(tcp.ack, -i64::from(other.seqdiff))).abs() <= K;
        if sender.seqlo == 0 && flags & SYN == 0 && other.scale.is_some() && sender.scale.is_none() && is_near
        {
            sender.scale = Some(14);
        }
        let mut sender_shift = 0;
        let mut other_shift = 0;
        if let (Some(a), Some(b)) = (sender.scale, other.scale)
            && flags & SYN == 0
        {
            sender_shift = a;
            other_shift = b;
        }
        let mut win = i64::from(tcp.window);

        // 1
        let mut seq = tcp.seq;
        let mut end = plus(seq, i64::from(tcp.payload));
        if flags & SYN != 0 {
            end = plus(end, 1);
        }
        let mut data_end = end;
        if flags & FIN != 0 {
            end = plus(end, 1);
        }
        let mut ack = plus(tcp.ack, -i64::from(other.seqdiff));

        // Unlike pf: a SYN-ACK sets the numbers of a side whose record was cleared.
        if flags & SYN != 0 && flags & ACK != 0 && other.seqlo == 0 && other.state == 2 {
            other.seqlo = ack;
            other.seqhi = ack;
        }

        // 2
        if sender.seqlo == 0 {
            sender.seqlo = seq;
            if let Some(others) = other.scale
                && flags & SYN != 0
            {
                sender.scale = scale_option(tcp.wscale);
                if let Some(shift) = sender.scale {
                    sender_shift = shift;
                    other_shift = others;
                    win = divide(win, shift);
                } else {
                    other.max_win = (other.max_win << others).min(65_535);
                    other.scale = None;
                }
            }
            if sender.state < 2 {
                sender.state = 2;
            }
            let edge = plus(end, (other.max_win << other_shift).max(1));
            if sender.seqhi == 1 || distance(edge, sender.seqhi) >= 0 {
                sender.seqhi = edge;
            }
            sender.max_win = sender.max_win.max(win);
        }

        // 3
        if flags & ACK == 0 || (ack == 0 && flags & RST != 0) || other.state < 2 {
            ack = other.seqlo;
        }
        let header_end = data_end;
        if seq == end {
            seq = sender.seqlo;
            // Unlike pf: after a FIN beyond the window a segment without data still fits.
            data_end = if distance(sender.seqlo, sender.seqhi) == 1 { sender.seqhi } else { sender.seqlo };
            end = sender.seqlo;
        }

        // 4
        let ackskew = distance(other.seqlo, ack);

        // 5
        // Unlike pf: K more, for segments that a whole window has overtaken.
        let reach = (other.max_win << other_shift) + K;
        let not_too_far = distance(sender.seqhi, data_end) >= 0;
        let not_too_old = distance(seq, plus(sender.seqlo, -reach)) >= 0;
        // Unlike pf: twice as far, for overtaken acknowledgements.
        let max_behind = (2 * K) << sender_shift;
        let ack_fits = -K <= ackskew && ackskew <= max_behind;
        let reset_fits = if flags & RST == 0 {
            true
        } else {
            let from_next = distance(tcp.seq, sender.seqlo);
            let exact = from_next == 0 || from_next == 1 || from_next == -1;
            let perfect_ack = ackskew == 0
                && flags & ACK != 0
                && distance(tcp.seq, plus(sender.seqlo, -reach)) >= 0
                && from_next <= 1;
            exact || perfect_ack
        };
        let in_window = not_too_far && not_too_old && ack_fits && reset_fits;
        // 6
        // Unlike pf: an RST's own number must be near, and in the window it passes without effect.
        let (first, last) = if flags & RST != 0 { (tcp.seq, header_end) } else { (seq, data_end) };
        let loose = (other.state < 2 || other.state >= 9 || sender.state >= 9)
            && distance(plus(sender.seqhi, K), last) >= 0
            && distance(first, plus(sender.seqlo, -K)) >= 0;
        if flags & RST != 0 {
            let within =
                distance(sender.seqhi, header_end) >= 0 && distance(tcp.seq, plus(sender.seqlo, -reach)) >= 0;
            if !in_window && !loose && within && ack_fits {
                if self.class == 2 {
                    self.class = 3;
                }
                self.sides[s] = sender;
                self.sides[d] = other;
                return Decision::Loose;
            }
        }

        if !in_window && !loose {
            // 7
            let both_opening = sender.state == 2 && other.state == 2;
            // Unlike pf: until the connection is open an RST passes without effect, and the record stays.
            let is_open = sender.state.min(other.state) >= 4;
            let passes = flags & RST != 0 && !is_open;
            if both_opening && !passes {
                sender.seqlo = 0;
                sender.seqhi = 1;
                sender.max_win = 1;
            }
            self.sides[s] = sender;
            self.sides[d] = other;
            // Unlike pf: another SYN of a client that nobody has answered begins a new connection.
            if flags & (SYN | ACK) == SYN && sender.state == 2 && other.state == 0 && other.seqlo == 0 {
                return Decision::Retire;
            }
            // Unlike pf: one of a client that the server has answered is challenged.
            if flags & (SYN | ACK) == SYN && sender.state == 4 && other.state == 2 {
                return Decision::ChallengeAck;
            }
            return match (passes, both_opening) {
                (true, _) => Decision::Loose,
                (false, true) => Decision::DropAndReset,
                (false, false) => Decision::Drop,
            };
        }

        sender.max_win = sender.max_win.max(win);
        if distance(end, sender.seqlo) > 0 {
            sender.seqlo = end;
        }
        let offered = win << sender_shift;
        // Unlike pf: the limit of a side that has sent nothing is not computed from zero (`src/state/tcp/window.rs`).
        let nothing_known = other.seqlo == 0 && ack == 0;
        if !nothing_known && distance(plus(ack, offered), other.seqhi) >= 0 {
            other.seqhi = plus(ack, offered.max(1));
        }
        if in_window && flags & SYN != 0 && sender.state < 2 {
            sender.state = 2;
        }
        if flags & FIN != 0 && sender.state < 7 {
            sender.state = 7;
        }
        if in_window && flags & ACK != 0 {
            if other.state == 2 {
                other.state = 4;
            } else if other.state == 7 {
                other.state = 9;
            }
        }
        if flags & RST != 0 {
            sender.state = 10;
            other.state = 10;
        }
        // Unlike pf: a side whose other direction takes another path keeps the connection alive.
        let is_one_sided = self.sides[d].state < 2 && flags & (SYN | FIN | RST) == 0;
        self.sides[s] = sender;
        self.sides[d] = other;
        if in_window {
            self.activity(now);
            return Decision::Pass;
        }
        if is_one_sided {
            self.last_activity = now;
        }
        Decision::Loose
    }

    /// Section 7.6.
    fn track_sloppy(&mut self, flags: u8, s: usize, now: u32) -> Decision {
        let [mut sender, mut other] = [self.sides[s], self.sides[1 - s]];
        if flags & SYN != 0 && sender.state < 2 {
            sender.state = 2;
        }
        if flags & FIN != 0 && sender.state < 7 {
            sender.state = 7;
        }
        if flags & ACK != 0 {
            if other.state == 2 {
                other.state = 4;
            } else if other.state == 7 {
                other.state = 9;
            } else if sender.state == 2 && other.state < 2 {
                sender.state = 4;
                other.state = 4;
            } else if sender.state == 7 && other.state == 4 && other.seqlo == 0 {
                other.state = 7;
            }
        }
        if flags & RST != 0 {
            sender.state = 10;
            other.state = 10;
        }
        self.sides[s] = sender;
        self.sides[1 - s] = other;
        self.activity(now);
        Decision::Pass
    }

    /// The end of step 5.
    fn activity(&mut self, now: u32) {
        self.last_activity = now;
        let [a, b] = [self.sides[0].state, self.sides[1].state];
        self.class = if a >= 9 && b >= 9 {
            5
        } else if a >= 7 && b >= 7 {
            4
        } else if a < 4 || b < 4 {
            1
        } else if a >= 7 || b >= 7 {
            3
        } else {
            2
        };
    }

    /// Returns the difference from the tracker's record, or `None` if they are equal.
    pub(crate) fn differs(&self, record: &Record) -> Option<String> {
        let theirs = |peer: &Peer, state: u8| Side {
            seqlo: peer.seqlo,
            seqhi: peer.seqhi,
            max_win: peer.max_win.into(),
            seqdiff: peer.seqdiff,
            scale: scale_option(peer.wscale),
            state,
        };
        let [src, dst] = record.hot.peer_state;
        let theirs = [theirs(&record.track.src, src), theirs(&record.track.dst, dst)];
        let (class, clock) = (record.hot.timeout, record.hot.last_activity.0);
        let equal = theirs == self.sides && class == self.class && clock == self.last_activity;
        (!equal).then(|| format!("oracle: {self:?}\ntracker: {theirs:?}, class {class}, clock {clock}"))
    }
}

/// Whether the tracker's outcome corresponds to the decision.
pub(crate) fn agrees(decision: Decision, outcome: Outcome) -> bool {
    use pfplane::internals::state::DropReason::{ChallengeAck, Reset, Window};
    let same = match decision {
        Decision::Pass => Outcome::Pass,
        Decision::Loose => Outcome::PassLoose,
        Decision::Retire => Outcome::Retire,
        Decision::ChallengeAck => Outcome::Drop(ChallengeAck),
        Decision::DropAndReset => Outcome::Drop(Reset),
        Decision::Drop => Outcome::Drop(Window),
    };
    outcome == same
}
