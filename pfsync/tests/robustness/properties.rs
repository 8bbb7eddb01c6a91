//! Properties that hold for any bytes and any values.

use crate::support::{frame_of, frame_with, read_records};
use pfsync::envelope::{Address, Envelope, Transport};
use pfsync::link::Ethernet;
use pfsync::{
    Action, BulkStatus, Clear, CompressedUpdate, Family, FieldSet, FrameReader, FullState, Identity, Profile,
    Record, Scrub, StateKey, StatePeer, Tdb, WriterOptions, convert,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn profile() -> impl Strategy<Value = Profile> {
    select(&Profile::ALL[..])
}

prop_compose! {
    fn peer()(
        scrub in proptest::option::of((0u16..2, any::<u8>(), any::<u32>())),
        seq in any::<[u32; 3]>(), max_win in any::<u16>(), mss in any::<u16>(), state in any::<u8>(), wscale in any::<u8>(),
    ) -> StatePeer {
        let scrub = scrub.map_or_else(Scrub::default, |(flags, ttl, ts_mod)| Scrub { flags, ttl, valid: 1, ts_mod });
        StatePeer { scrub, seqlo: seq[0], seqhi: seq[1], seqdiff: seq[2], max_win, mss, state, wscale }
    }
}

prop_compose! {
    /// Equal ports have a meaning of their own in ICMP states.
    fn key()(
        v6 in any::<bool>(), mut addr in any::<[[u8; 16]; 2]>(),
        port in prop_oneof![any::<[[u8; 2]; 2]>(), any::<[u8; 2]>().prop_map(|port| [port; 2])], rdomain in any::<u16>(),
        proto in select(vec![1u8, 6, 17, 47, 58, 132]),
    ) -> StateKey {
        if !v6 {
            addr.iter_mut().for_each(|addr| addr[4..].fill(0));
        }
        StateKey { addr, port, rdomain, family: if v6 { Family::V6 } else { Family::V4 }, proto }
    }
}

prop_compose! {
    /// A state with every field set, more than any profile carries.
    fn any_state()(
        id in any::<u64>(), creator in any::<u32>(), ifname in any::<[u8; 16]>(), key in [key(), key()],
        src in peer(), dst in peer(), rt_addr in any::<[u8; 16]>(),
        words in any::<[u32; 5]>(), packets in any::<[u64; 2]>(), bytes in any::<[u64; 2]>(),
    )(
        rtableid in any::<[i32; 2]>(), halves in any::<[u16; 6]>(), small in any::<[u8; 8]>(), direction in 0u8..4, rt in 0u8..6,
        set_prio in any::<[u8; 2]>(), rt_ifname in any::<[u8; 16]>(), orig_ifname in any::<[u8; 16]>(),
        tag in any::<[u8; 32]>(), rt_v6 in any::<bool>(),
        id in Just(id), creator in Just(creator), ifname in Just(ifname), key in Just(key), src in Just(src), dst in Just(dst),
        rt_addr in Just(rt_addr), words in Just(words), packets in Just(packets), bytes in Just(bytes),
    ) -> FullState {
        let mut tagname = [0; 64];
        tagname[..32].copy_from_slice(&tag);
        FullState {
            id: Identity { id, creator }, ifname, key, src, dst, rt_addr,
            rule: words[0], anchor: words[1], nat_rule: words[2], creation: words[3], expire: words[4], packets, bytes,
            rtableid, max_mss: halves[0], family: key[0].family, direction, log: small[0], rt, timeout: small[1] % 30,
            sync_flags: small[2], updates: small[3], min_ttl: small[4], set_tos: small[5], set_prio,
            state_flags: halves[1], qid: halves[2], pqid: halves[3], dnpipe: halves[4], dnrpipe: halves[5],
            rt_ifname, orig_ifname, tagname, rt_family: if rt_v6 { Family::V6 } else { Family::NONE },
        }
    }
}

/// A profile and a state that it carries completely.
fn carried_state() -> impl Strategy<Value = (Profile, FullState)> {
    (profile(), any_state()).prop_map(|(profile, state)| (profile, convert(&state, profile, profile).state))
}

/// Reads any bytes as a frame to its end, and checks that it has no more regions and records than fit.
fn read_arbitrary(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(mut reader) = FrameReader::new(bytes) else { return Ok(()) };
    let (mut regions, mut records) = (0, 0);
    while let Some(region) = reader.next_region() {
        regions += 1;
        let Ok(region) = region else { continue };
        let in_chunks: usize =
            region.chunks(1 + bytes.len() as u16 % 4).map(|chunk| chunk.records().count()).sum();
        prop_assert_eq!(in_chunks, region.records().count());
        for record in region.records() {
            records += 1;
            match record {
                Record::State(state) => {
                    for to in Profile::ALL {
                        let _ = (state.validate(20), convert(&state, region.profile().unwrap(), to));
                    }
                }
                Record::Compressed(update) => {
                    let _ = update.validate(25);
                }
                _ => {}
            }
        }
    }
    prop_assert!(regions <= bytes.len() / 4 && records <= bytes.len() / 12);
    if let Ok(Some(trailer)) = reader.trailer() {
        prop_assert_eq!(reader.length() + trailer.length(), bytes.len());
        prop_assert!(trailer.options().count() <= 1 + bytes.len() / 4);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_read_to_their_end(bytes in vec(any::<u8>(), 0..1600)) {
        read_arbitrary(&bytes)?;
        let _ = Envelope::parse(&bytes);
        let _ = Ethernet::parse(&bytes);
    }

    #[test]
    fn any_bytes_behind_a_frame_are_read_to_their_end(
        bytes in vec(any::<u8>(), 0..600), length in any::<u16>(), has_length in any::<bool>(),
    ) {
        let mut frame = vec![0; 20];
        (frame[0], frame[3]) = (6, 20);
        let length = if has_length { bytes.len() as u16 } else { length };
        frame.extend([0xd5, b'p', b'f', b's', 0x10]);
        frame.extend([0; 23]);
        frame.extend(length.to_be_bytes());
        frame.extend([0; 2]);
        frame.extend(bytes);
        prop_assert!(!has_length || FrameReader::new(&frame).unwrap().trailer().is_ok());
        read_arbitrary(&frame)?;
    }

    #[test]
    fn any_regions_after_a_valid_header_are_read_to_their_end(
        version in 5u8..7,
        regions in vec((0u8..18, 0u8..70, 0u16..6, vec(any::<u8>(), 0..600)), 0..6),
    ) {
        let mut frame = vec![0; 20];
        for (action, len, count, body) in regions {
            frame.extend([action, len, 0, count as u8]);
            frame.extend(body);
        }
        let length = (frame.len() as u16).to_be_bytes();
        frame[0] = version;
        frame[2..4].copy_from_slice(&length);
        read_arbitrary(&frame)?;
    }

    #[test]
    fn chunks_of_a_region_have_the_same_records_in_the_same_order(
        profile in profile(), ids in vec(any::<u64>(), 1..100), max_records in 0u16..40,
    ) {
        let frame = frame_of(profile, |writer| {
            for &id in &ids {
                writer.push_id(Action::DeleteCompressed, Identity { id, creator: 7 }).unwrap();
            }
        });
        let region = FrameReader::new(&frame).unwrap().next_region().unwrap().unwrap();
        let chunks: Vec<_> = region.chunks(max_records).collect();
        prop_assert!(chunks.iter().all(|chunk| (1..=max_records.max(1)).contains(&chunk.count())));
        prop_assert!(chunks.iter().all(|chunk| chunk.offset() == region.offset()));
        let read: Vec<u64> = chunks.iter().flat_map(|chunk| chunk.ids()).map(|id| id.id).collect();
        prop_assert_eq!(read, ids);
    }

    #[test]
    fn a_state_reads_back_as_it_was_written((profile, state) in carried_state()) {
        let frame = frame_of(profile, |writer| writer.push_state(Action::Update, &state).unwrap());
        prop_assert_eq!(read_records(&frame)[0], (Action::Update, Record::State(state)));
    }

    #[test]
    fn other_records_read_back_as_they_were_written(
        profile in profile(), id in any::<u64>(), creator in any::<u32>(), src in peer(), dst in peer(), timeout in any::<u8>(),
        ifname in any::<[u8; 16]>(), endtime in any::<u32>(), status in any::<u8>(), trailer in 0usize..64,
        spi in any::<u32>(), destination in any::<[u8; 28]>(), replay in any::<u32>(), bytes in any::<u64>(), rdomain in any::<u16>(),
    ) {
        let id = Identity { id, creator };
        let update = CompressedUpdate { id, src, dst, expire: 0, timeout };
        let clear = Clear { ifname, creator };
        let bulk = BulkStatus { creator, endtime, status };
        let rdomain = if profile == Profile::OpenBsd6 { rdomain } else { 0 };
        let tdb = Tdb { spi, destination, replay: u64::from(replay), bytes, proto: timeout, rdomain };
        let options = WriterOptions { checksum: [7; 16], trailer, ..WriterOptions::default() };
        let frame = frame_with(profile, &options, |writer| {
            writer.push_compressed_update(&update).unwrap();
            for action in [Action::InsertAck, Action::UpdateRequest, Action::DeleteCompressed] {
                writer.push_id(action, id).unwrap();
            }
            writer.push_clear(&clear).unwrap();
            writer.push_bulk_status(&bulk).unwrap();
            writer.push_tdb(&tdb).unwrap();
        });
        let expected = [
            (Action::UpdateCompressed, Record::Compressed(update)),
            (Action::InsertAck, Record::Id(id)),
            (Action::UpdateRequest, Record::Id(id)),
            (Action::DeleteCompressed, Record::Id(id)),
            (Action::Clear, Record::Clear(clear)),
            (Action::BulkStatus, Record::BulkStatus(bulk)),
            (Action::Tdb, Record::Tdb(tdb)),
        ];
        prop_assert_eq!(read_records(&frame), expected);
        let reader = FrameReader::new(&frame).unwrap();
        prop_assert_eq!(reader.trailer_bytes(), &vec![0; trailer][..]);
        prop_assert_eq!(reader.checksum(), [7; 16]);
    }

    #[test]
    fn the_other_profile_carries_a_converted_state_completely((from, state) in carried_state(), to in profile()) {
        let there = convert(&state, from, to);
        let frame = frame_of(to, |writer| writer.push_state(Action::Insert, &there.state).unwrap());
        prop_assert_eq!(read_records(&frame)[0], (Action::Insert, Record::State(there.state)));
        prop_assert_eq!(convert(&there.state, to, to).state, there.state, "a second conversion changes nothing");
    }

    #[test]
    fn converting_there_and_back_keeps_what_both_profiles_carry((from, state) in carried_state(), to in profile()) {
        let there = convert(&state, from, to);
        let back = convert(&there.state, to, from);
        let changed = there.dropped.union(there.mapped).union(back.dropped).union(back.mapped);
        if changed.is_empty() {
            prop_assert_eq!(back.state, state);
        }
        // Fields that every profile carries never change.
        let (mut ours, mut theirs) = (state, back.state);
        for state in [&mut ours, &mut theirs] {
            clear_optional_fields(state);
        }
        prop_assert_eq!(ours, theirs);
        prop_assert_eq!(convert(&state, from, from).dropped, FieldSet::EMPTY);
    }

    #[test]
    fn an_ip_header_reads_back_as_it_was_written(
        v6 in any::<bool>(), source in any::<[u8; 16]>(), destination in any::<[u8; 16]>(), tos in any::<u8>(),
        identification in any::<u16>(), payload in 0usize..1400, padding in 0usize..40,
    ) {
        let address = |bytes: [u8; 16]| match v6 {
            true => Address::V6(bytes),
            false => Address::V4([bytes[0], bytes[1], bytes[2], bytes[3]]),
        };
        let transport = Transport { source: address(source), destination: address(destination), tos };
        let mut packet = vec![0; transport.encoded_len() + payload + padding];
        let header = transport.emit(&mut packet, payload, identification).unwrap();
        let envelope = Envelope::parse(&packet).unwrap();
        prop_assert_eq!(envelope.payload, header..header + payload);
        prop_assert_eq!((envelope.source, envelope.destination, envelope.tos), (transport.source, transport.destination, tos));
    }
}

/// Clears every field that some profile does not carry.
fn clear_optional_fields(state: &mut FullState) {
    for key in &mut state.key {
        key.rdomain = 0;
        if matches!(key.proto, 1 | 58) {
            key.port = [[0; 2]; 2];
        }
    }
    let FullState {
        id, ifname, key, src, dst, rt_addr, rule, anchor, creation, expire, packets, bytes, ..
    } = *state;
    let FullState { family, direction, log, state_flags, .. } = *state;
    let stack = StateKey { family: key[0].family, proto: key[0].proto, ..key[1] };
    let key = [key[0], StateKey { addr: [[0; 16]; 2], port: [[0; 2]; 2], ..stack }];
    let state_flags = state_flags & 0x00fb;
    *state = FullState {
        id,
        ifname,
        key,
        src,
        dst,
        rt_addr,
        rule,
        anchor,
        creation,
        expire,
        packets,
        bytes,
        family,
        direction,
        log,
        state_flags,
        ..FullState::EMPTY
    };
}
