//! Two nodes of an election, with both protocols.

use super::measure::call;
use super::world::*;
use core::ptr::{null, null_mut};
use pfplane::internals::ffi::*;

const PORT: u16 = 3;

fn create(dialect: u32, node: u8) -> *mut pfplane_election {
    let v6 = |last: u8| {
        let mut bytes = [0; 16];
        (bytes[0], bytes[1], bytes[15]) = (0xfe, 0x80, last);
        pfplane_address { family: 6, reserved: [0; 3], bytes }
    };
    let own = [peer(node).source, v6(node)];
    let shared: [Vec<_>; 2] =
        [(100..200).map(|last| peer(last).source).collect(), (100..200).map(v6).collect()];
    let members: Vec<_> = (0..2)
        .map(|family| pfplane_election_member {
            size: size::<pfplane_election_member>(),
            port: PORT,
            vlan: 0,
            id: 7,
            reserved: 0,
            own_mac: [2, 0, 0, 0, 0, node],
            own_address: own[family],
            address_count: 100,
            peer_count: 0,
            addresses: shared[family].as_ptr(),
            peers: null(),
            passphrase: if dialect == PFPLANE_ELECTION_VRRP3 { null() } else { c"secret".as_ptr() },
        })
        .collect();
    let (mut config, mut election) = (zeroed(), null_mut());
    let size = size::<pfplane_election_config>();
    assert_eq!(call!(pfplane_election_config_init(out(&mut config), size)), PFPLANE_OK);
    (config.dialect, config.priority) = (dialect, 100 + node);
    (config.members, config.member_count) = (members.as_ptr(), 2);
    assert_eq!(
        call!(pfplane_election_new(Some(&config), out(&mut election))),
        PFPLANE_OK,
        "{}",
        last_error()
    );
    call!(pfplane_election_link(election, PORT, true, SECOND));
    call!(pfplane_election_readiness(election, PFPLANE_ELECTION_SYNCED));
    election
}

/// Polls a node, and sends what it has to the other.
fn step(from: *mut pfplane_election, to: *mut pfplane_election, now: u64) {
    call!(pfplane_election_poll(from, now, out(&mut 0)));
    let mut buffer = [0u8; 8192];
    let bytes = buffer.as_mut_ptr();
    let mut frame = pfplane_election_frame { size: size::<pfplane_election_frame>(), ..zeroed() };
    while call!(pfplane_election_flush(from, bytes, 8192, Some(&mut frame))) == PFPLANE_OK {
        call!(pfplane_election_receive(to, frame.port, frame.vlan, bytes, frame.length, now));
        let (mut answer, to) = ([0u8; 256], to.cast_const());
        let start = answer.as_mut_ptr();
        call!(pfplane_election_answer(
            to.as_ref(),
            frame.port,
            0,
            bytes,
            frame.length,
            now,
            start,
            256,
            out(&mut 0)
        ));
    }
    if call!(pfplane_election_hello(from, now, bytes, 8192)) == PFPLANE_OK {
        call!(pfplane_election_hello_receive(to, bytes, PFPLANE_ELECTION_HELLO_BYTES, now, out(&mut false)));
    }
    let mut event = pfplane_election_event { size: size::<pfplane_election_event>(), ..zeroed() };
    while call!(pfplane_election_event_next(from, now, Some(&mut event))) == PFPLANE_OK {}
}

pub(crate) fn run() {
    for dialect in [PFPLANE_ELECTION_VRRP3, PFPLANE_ELECTION_OPENBSD, PFPLANE_ELECTION_FREEBSD] {
        let [a, b] = [1, 2].map(|node| create(dialect, node));
        for now in (1..200).map(|turn| SECOND + turn * 100 * MS) {
            step(a, b, now);
            step(b, a, now);
        }
        let now = 21 * SECOND;
        let forward =
            |node: *const pfplane_election| call!(pfplane_election_may_forward(node.as_ref(), now - 1));
        let lease = |node: *const pfplane_election| call!(pfplane_election_lease(node.as_ref()));
        assert!([a, b].iter().all(|&node| !lease(node).is_null()));
        let use_virtual = |node: *const pfplane_election| {
            call!(pfplane_election_may_use_virtual_mac(node.as_ref(), now - 1))
        };
        assert_ne!(forward(a), forward(b), "one of them is master");
        assert_eq!([use_virtual(a), use_virtual(b)], [forward(a), forward(b)]);
        call!(pfplane_election_demote(b, c"test".as_ptr(), 5));
        let mut reason = pfplane_election_reason { size: size::<pfplane_election_reason>(), ..zeroed() };
        call!(pfplane_election_reason_at(b, 0, Some(&mut reason)));
        call!(pfplane_election_send_failed(b, PORT, 1, now));
        call!(pfplane_election_peer_down(a, now));
        call!(pfplane_election_witness(a, true));
        call!(pfplane_election_check_beside(a, b));
        let engine = Engine::with_peer(&config(), &pfplane_peer { extensions: 1, ..peer(1) });
        call!(pfplane_election_greet(a, engine.get(), now));
        call!(pfplane_election_step_down(b, 100, now));
        step(b, a, now);
        let mut status = pfplane_election_status { size: size::<pfplane_election_status>(), ..zeroed() };
        call!(pfplane_election_status_read(b, Some(&mut status)));
        for index in 0..30 {
            call!(pfplane_election_stat(b, 0, index, Some(&mut stat())));
        }
        [a, b].into_iter().for_each(|node| call!(pfplane_election_free(node)));
    }
}
