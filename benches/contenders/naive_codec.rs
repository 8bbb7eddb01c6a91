//! A straightforward codec for OpenBSD's records: field by field, each with its own bounds check.

/// Appends records to a vector.
pub(crate) mod naive_write {
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
    pub(crate) fn state(out: &mut Vec<u8>, state: &FullState) {
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
    pub(crate) fn update(out: &mut Vec<u8>, update: &CompressedUpdate) {
        out.extend(update.id.id.to_be_bytes());
        peer(out, &update.src);
        peer(out, &update.dst);
        out.extend(update.id.creator.to_be_bytes());
        out.extend(update.expire.to_be_bytes());
        out.extend([update.timeout, 0, 0, 0]);
    }
}

/// Reads records from a slice through a cursor.
pub(crate) mod naive_parse {
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
    pub(crate) fn state(bytes: &[u8]) -> FullState {
        let mut cursor = Cursor(bytes);
        let mut state = FullState::EMPTY;
        state.id.id = cursor.u64();
        state.ifname = cursor.take();
        state.key = [cursor.key(), cursor.key()];
        state.src = cursor.peer();
        state.dst = cursor.peer();
        state.rt_addr = cursor.take();
        state.rule = cursor.u32();
        state.anchor = cursor.u32();
        cursor.u32();
        state.creation = cursor.u32();
        state.expire = cursor.u32();
        state.packets = [cursor.u64(), cursor.u64()];
        state.bytes = [cursor.u64(), cursor.u64()];
        state.id.creator = cursor.u32();
        state.rtableid = [cursor.u32() as i32, cursor.u32() as i32];
        state.max_mss = cursor.u16();
        state.family = Family::from_number(cursor.u8(), Version::V6);
        let proto = cursor.u8();
        state.key[0].proto = proto;
        state.key[1].proto = proto;
        state.direction = cursor.u8();
        state.log = cursor.u8();
        state.rt = cursor.u8();
        state.timeout = cursor.u8();
        state.sync_flags = cursor.u8();
        state.updates = cursor.u8();
        state.min_ttl = cursor.u8();
        state.set_tos = cursor.u8();
        state.state_flags = cursor.u16();
        state.set_prio = cursor.take();
        state
    }

    /// A compressed update.
    pub(crate) fn update(bytes: &[u8]) -> CompressedUpdate {
        let mut cursor = Cursor(bytes);
        let id = cursor.u64();
        let (src, dst) = (cursor.peer(), cursor.peer());
        let creator = cursor.u32();
        CompressedUpdate {
            id: Identity { id, creator },
            src,
            dst,
            expire: cursor.u32(),
            timeout: cursor.u8(),
        }
    }
}
