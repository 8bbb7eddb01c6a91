//! OpenBSD's records as one would write and read them first: field by field, each with its own bounds check.

/// Appends to a vector.
pub mod naive_write {
    use pfsync::{CompressedUpdate, FullState, StateKey, StatePeer};

    fn peer(out: &mut Vec<u8>, peer: &StatePeer) {
        if peer.scrub.valid == 1 {
            out.extend((peer.scrub.flags & 1).to_be_bytes());
            out.push(peer.scrub.ttl);
            out.push(1);
            out.extend(peer.scrub.ts_mod.to_be_bytes());
        } else {
            out.extend([0; 8]);
        }
        out.extend(peer.seqlo.to_be_bytes());
        out.extend(peer.seqhi.to_be_bytes());
        out.extend(peer.seqdiff.to_be_bytes());
        out.extend(peer.max_win.to_be_bytes());
        out.extend(peer.mss.to_be_bytes());
        out.push(peer.state);
        out.push(peer.wscale);
        out.extend([0; 6]);
    }

    fn key(out: &mut Vec<u8>, key: &StateKey) {
        for address in key.addr {
            out.extend(address);
        }
        for port in key.port {
            out.extend(port);
        }
        out.extend(key.rdomain.to_be_bytes());
        out.push(key.family.number(pfsync::Version::V6));
        out.push(0);
    }

    /// A whole state.
    pub fn state(out: &mut Vec<u8>, state: &FullState) {
        out.extend(state.id.id.to_be_bytes());
        out.extend(state.ifname);
        state.key.iter().for_each(|one| key(out, one));
        peer(out, &state.src);
        peer(out, &state.dst);
        out.extend(state.rt_addr);
        for number in [state.rule, state.anchor, u32::MAX, state.creation, state.expire] {
            out.extend(number.to_be_bytes());
        }
        for number in [state.packets[0], state.packets[1], state.bytes[0], state.bytes[1]] {
            out.extend(number.to_be_bytes());
        }
        out.extend(state.id.creator.to_be_bytes());
        out.extend(state.rtableid[0].to_be_bytes());
        out.extend(state.rtableid[1].to_be_bytes());
        out.extend(state.max_mss.to_be_bytes());
        out.push(state.key[0].family.number(pfsync::Version::V6));
        out.push(state.key[0].proto);
        out.extend([state.direction, state.log, state.rt, state.timeout, state.sync_flags, state.updates]);
        out.extend([state.min_ttl, state.set_tos]);
        out.extend(state.state_flags.to_be_bytes());
        out.extend(state.set_prio);
    }

    /// A compressed update.
    pub fn update(out: &mut Vec<u8>, update: &CompressedUpdate) {
        out.extend(update.id.id.to_be_bytes());
        peer(out, &update.src);
        peer(out, &update.dst);
        out.extend(update.id.creator.to_be_bytes());
        out.extend(update.expire.to_be_bytes());
        out.extend([update.timeout, 0, 0, 0]);
    }
}

/// Reads from a slice through a cursor.
pub mod naive_parse {
    use pfsync::{CompressedUpdate, Family, FullState, Identity, Scrub, StateKey, StatePeer, Version};

    struct Cursor<'a>(&'a [u8]);

    impl Cursor<'_> {
        fn take<const N: usize>(&mut self) -> [u8; N] {
            let (head, rest) = self.0.split_at(N);
            self.0 = rest;
            head.try_into().unwrap()
        }
        fn u8(&mut self) -> u8 {
            self.take::<1>()[0]
        }
        fn u16(&mut self) -> u16 {
            u16::from_be_bytes(self.take())
        }
        fn u32(&mut self) -> u32 {
            u32::from_be_bytes(self.take())
        }
        fn u64(&mut self) -> u64 {
            u64::from_be_bytes(self.take())
        }
        fn peer(&mut self) -> StatePeer {
            let scrub = Scrub { flags: self.u16(), ttl: self.u8(), valid: self.u8(), ts_mod: self.u32() };
            let peer = StatePeer {
                scrub: if scrub.valid == 1 { scrub } else { Scrub::default() },
                seqlo: self.u32(),
                seqhi: self.u32(),
                seqdiff: self.u32(),
                max_win: self.u16(),
                mss: self.u16(),
                state: self.u8(),
                wscale: self.u8(),
            };
            self.take::<6>();
            peer
        }
        fn key(&mut self) -> StateKey {
            let addr = [self.take(), self.take()];
            let port = [self.take(), self.take()];
            let rdomain = self.u16();
            let family = Family::from_number(self.u8(), Version::V6);
            self.u8();
            StateKey { addr, port, rdomain, family, proto: 0 }
        }
    }

    /// A whole state.
    pub fn state(bytes: &[u8]) -> FullState {
        let mut at = Cursor(bytes);
        let mut state = FullState::EMPTY;
        state.id.id = at.u64();
        state.ifname = at.take();
        state.key = [at.key(), at.key()];
        state.src = at.peer();
        state.dst = at.peer();
        state.rt_addr = at.take();
        state.rule = at.u32();
        state.anchor = at.u32();
        at.u32();
        state.creation = at.u32();
        state.expire = at.u32();
        state.packets = [at.u64(), at.u64()];
        state.bytes = [at.u64(), at.u64()];
        state.id.creator = at.u32();
        state.rtableid = [at.u32() as i32, at.u32() as i32];
        state.max_mss = at.u16();
        state.family = Family::from_number(at.u8(), Version::V6);
        let proto = at.u8();
        state.key[0].proto = proto;
        state.key[1].proto = proto;
        state.direction = at.u8();
        state.log = at.u8();
        state.rt = at.u8();
        state.timeout = at.u8();
        state.sync_flags = at.u8();
        state.updates = at.u8();
        state.min_ttl = at.u8();
        state.set_tos = at.u8();
        state.state_flags = at.u16();
        state.set_prio = at.take();
        state
    }

    /// A compressed update.
    pub fn update(bytes: &[u8]) -> CompressedUpdate {
        let mut at = Cursor(bytes);
        let id = at.u64();
        let (src, dst) = (at.peer(), at.peer());
        let creator = at.u32();
        CompressedUpdate { id: Identity { id, creator }, src, dst, expire: at.u32(), timeout: at.u8() }
    }
}
