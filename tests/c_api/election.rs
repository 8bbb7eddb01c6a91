//! The election through the C API: two nodes on a LAN in virtual time, wrong settings, and what any thread may ask.

use super::world::*;
use core::ffi::CStr;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicU64, Ordering};
use pfplane::internals::ffi::*;

const MS: u64 = 1_000_000;

pub(super) fn address(text: &str) -> pfplane_address {
    let (family, bytes) = match text.parse().expect("an address") {
        core::net::IpAddr::V4(v4) => {
            (4, core::array::from_fn(|at| v4.octets().get(at).copied().unwrap_or(0)))
        }
        core::net::IpAddr::V6(v6) => (6, v6.octets()),
    };
    pfplane_address { family, reserved: [0; 3], bytes }
}

/// A node: its election, and the arrays that its configuration points to.
pub(super) struct Node(pub(super) *mut pfplane_election);

pub(super) struct Plan {
    pub(super) dialect: u32,
    pub(super) node: u8,
    pub(super) priority: u8,
    pub(super) interval_us: u32,
}

pub(super) fn with_config<T>(
    plan: &Plan,
    use_it: impl FnOnce(&mut pfplane_election_config, &mut [pfplane_election_member]) -> T,
) -> T {
    let shared = [address("10.0.0.100"), address("2001:db8::100")];
    let own = [address(&format!("10.0.0.{}", plan.node)), address(&format!("fe80::{}", plan.node))];
    let mut members = [0, 1].map(|family| pfplane_election_member {
        size: size_of::<pfplane_election_member>() as u32,
        port: 3,
        vlan: 0,
        id: 7,
        reserved: 0,
        own_mac: [2, 0, 0, 0, 0, plan.node],
        own_address: own[family],
        address_count: 1,
        peer_count: 0,
        addresses: &raw const shared[family],
        peers: null(),
        passphrase: if plan.dialect == PFPLANE_ELECTION_VRRP3 { null() } else { c"secret".as_ptr() },
    });
    let mut config = core::mem::MaybeUninit::uninit();
    let size = size_of::<pfplane_election_config>() as u32;
    assert_eq!(pfplane_election_config_init(Some(&mut config), size), PFPLANE_OK);
    let mut config = unsafe { config.assume_init() };
    config.dialect = plan.dialect;
    config.priority = plan.priority;
    config.interval_us = plan.interval_us;
    config.member_count = 2;
    let pointer = members.as_mut_ptr();
    config.members = pointer;
    use_it(&mut config, unsafe { core::slice::from_raw_parts_mut(pointer, 2) })
}

impl Node {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut election = null_mut();
        let status =
            with_config(plan, |config, _| unsafe { pfplane_election_new(Some(config), out(&mut election)) });
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
        unsafe {
            assert_eq!(pfplane_election_readiness(election, PFPLANE_ELECTION_SYNCED), PFPLANE_OK);
            assert_eq!(pfplane_election_link(election, 3, true, MS), PFPLANE_OK);
        }
        Self(election)
    }

    /// Polls and returns the frames that are sent.
    pub(super) fn turn(&self, now: u64) -> Vec<Vec<u8>> {
        let mut buffer = vec![0; PFPLANE_MAX_ELECTION_FRAME as usize];
        let mut frames = Vec::new();
        unsafe {
            assert_eq!(pfplane_election_poll(self.0, now, None), PFPLANE_OK);
            loop {
                let mut frame: pfplane_election_frame = core::mem::zeroed();
                frame.size = size_of::<pfplane_election_frame>() as u32;
                let capacity = buffer.len() as u32;
                match pfplane_election_flush(self.0, buffer.as_mut_ptr(), capacity, Some(&mut frame)) {
                    PFPLANE_OK => frames.push(buffer[..frame.length as usize].to_vec()),
                    other => {
                        assert_eq!(other, PFPLANE_END);
                        return frames;
                    }
                }
                assert_eq!((frame.port, frame.from_virtual_mac, frame.receiver.family), (3, 1, 0));
            }
        }
    }

    pub(super) fn receive(&self, frame: &[u8], now: u64) -> i32 {
        unsafe { pfplane_election_receive(self.0, 3, 0, frame.as_ptr(), frame.len() as u32, now) }
    }

    pub(super) fn status(&self) -> pfplane_election_status {
        unsafe {
            let mut status: pfplane_election_status = core::mem::zeroed();
            status.size = size_of::<pfplane_election_status>() as u32;
            assert_eq!(pfplane_election_status_read(self.0, Some(&mut status)), PFPLANE_OK);
            status
        }
    }

    pub(super) fn may_forward(&self, now: u64) -> bool {
        let election = unsafe { self.0.as_ref() };
        let answer = pfplane_election_may_forward(election, now);
        let end = unsafe { AtomicU64::from_ptr(pfplane_election_lease(election).cast_mut()) };
        assert_eq!(now < end.load(Ordering::Relaxed), answer, "by the call and by the lease");
        answer
    }

    fn roles(&self, now: u64) -> Vec<(u32, u32)> {
        let mut roles = Vec::new();
        unsafe {
            let mut event: pfplane_election_event = core::mem::zeroed();
            event.size = size_of::<pfplane_election_event>() as u32;
            while pfplane_election_event_next(self.0, now, Some(&mut event)) == PFPLANE_OK {
                if event.kind == PFPLANE_ELECTION_EVENT_ROLE {
                    roles.push((event.role, event.why));
                }
            }
        }
        roles
    }

    fn stat(&self, name: &CStr) -> u64 {
        unsafe {
            let mut stat: pfplane_stat = core::mem::zeroed();
            stat.size = size_of::<pfplane_stat>() as u32;
            let mut index = 0;
            while pfplane_election_stat(self.0, 0, index, Some(&mut stat)) == PFPLANE_OK {
                if CStr::from_ptr(stat.name) == name {
                    return stat.value;
                }
                index += 1;
            }
            panic!("no counter is called {name:?}");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        unsafe { pfplane_election_free(self.0) };
    }
}

/// Runs both nodes until `end`, the first one only until it is dead.
pub(super) fn run(nodes: &[Node; 2], from: u64, end: u64, dead: bool) {
    for now in (from..end).step_by(MS as usize) {
        for node in usize::from(dead)..2 {
            for frame in nodes[node].turn(now) {
                if !(dead && node == 1) {
                    nodes[1 - node].receive(&frame, now);
                }
            }
        }
    }
}

#[test]
fn the_backup_takes_over_from_a_dead_master_within_the_down_time() {
    for (dialect, interval_us, down) in [
        (PFPLANE_ELECTION_VRRP3, 10_000, 37 * MS),
        (PFPLANE_ELECTION_OPENBSD, 1_000_000, 3700 * MS),
        (PFPLANE_ELECTION_FREEBSD, 1_000_000, 3700 * MS),
    ] {
        let plan = |node, priority| Plan { dialect, node, priority, interval_us };
        let nodes = [Node::new(&plan(1, 200)), Node::new(&plan(2, 100))];
        let died = 2 * down;
        run(&nodes, MS, died, false);
        assert_eq!(
            (nodes[0].status().role, nodes[1].status().role),
            (PFPLANE_ELECTION_MASTER, PFPLANE_ELECTION_BACKUP)
        );
        assert!(nodes[0].may_forward(died) && !nodes[1].may_forward(died));
        assert_eq!(nodes[1].status().master.family, 6, "the last advert received was the one over IPv6");
        run(&nodes, died, died + down, true);
        assert!(nodes[1].may_forward(died + down - MS), "{dialect}");
        assert!(!nodes[0].may_forward(died + down - MS), "the dead node's lease has ended by itself");
        let last = nodes[1].roles(died + down).pop();
        assert_eq!(last, Some((PFPLANE_ELECTION_MASTER, PFPLANE_ELECTION_WHY_SILENCE)));
        assert!(nodes[1].stat(c"adverts_received") > 0 && nodes[0].stat(c"badauth") == 0);
    }
}

#[test]
fn wrong_settings_are_refused_with_the_name_of_the_setting() {
    type Change = fn(&mut pfplane_election_config, &mut [pfplane_election_member]);
    let cases: [(i32, &str, Change); 9] = [
        (PFPLANE_ERROR_SIZE, "config.size", |config, _| config.size = 4),
        (PFPLANE_ERROR_SIZE, "member.size", |_, members| members[1].size = 4),
        (PFPLANE_ERROR_ARGUMENT, "config.dialect", |config, _| config.dialect = 9),
        (PFPLANE_ERROR_ARGUMENT, "config.preempt", |config, _| config.preempt = 2),
        (PFPLANE_ERROR_ARGUMENT, "member.own_address", |_, members| members[0].own_address.family = 0),
        (PFPLANE_ERROR_SETTING, "priority", |config, _| config.priority = 0),
        (PFPLANE_ERROR_SETTING, "interval_us", |config, _| config.interval_us = 1),
        (PFPLANE_ERROR_SETTING, "members[0]: passphrase", |_, members| {
            members[0].passphrase = c"far too long a pass-phrase".as_ptr()
        }),
        (PFPLANE_ERROR_NULL, "config.members", |config, _| config.members = null()),
    ];
    let plan = Plan { dialect: PFPLANE_ELECTION_OPENBSD, node: 1, priority: 100, interval_us: 1_000_000 };
    for (expected, name, change) in cases {
        let status = with_config(&plan, |config, members| {
            change(config, members);
            unsafe { pfplane_election_new(Some(config), out(&mut null_mut())) }
        });
        assert_eq!(status, expected, "{name}");
        assert!(last_error().starts_with(name), "{name}: {}", last_error());
    }
    unsafe {
        assert_eq!(pfplane_election_new(None, out(&mut null_mut())), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_election_poll(null_mut(), 1, None), PFPLANE_ERROR_NULL);
        pfplane_election_free(null_mut());
        assert!(!pfplane_election_may_forward(None, 1));
        assert!(pfplane_election_lease(None).is_null());
    }
}

#[test]
fn a_refused_advert_is_an_event_with_its_counter_and_sender() {
    let plan = |node, priority| Plan { dialect: PFPLANE_ELECTION_VRRP3, node, priority, interval_us: 10_000 };
    let nodes = [Node::new(&plan(1, 200)), Node::new(&plan(2, 100))];
    run(&nodes, MS, 200 * MS, false);
    let mut now = 200 * MS;
    let mut frames = nodes[0].turn(now);
    while !frames.iter().any(|frame| frame[12..14] == [8, 0]) {
        now += MS;
        frames = nodes[0].turn(now);
    }
    let mut frame = frames.into_iter().find(|frame| frame[12..14] == [8, 0]).expect("an advert over IPv4");
    frame[36] ^= 1;
    nodes[1].roles(now);
    nodes[1].receive(&frame, now);
    unsafe {
        let mut event: pfplane_election_event = core::mem::zeroed();
        event.size = size_of::<pfplane_election_event>() as u32;
        assert_eq!(pfplane_election_event_next(nodes[1].0, now, Some(&mut event)), PFPLANE_OK);
        assert_eq!((event.kind, event.member), (PFPLANE_ELECTION_EVENT_REFUSED, 0));
        assert_eq!(event.source.bytes[..4], [10, 0, 0, 1]);
        let mut stat: pfplane_stat = core::mem::zeroed();
        stat.size = size_of::<pfplane_stat>() as u32;
        assert_eq!(pfplane_election_stat(nodes[1].0, 0, event.counter, Some(&mut stat)), PFPLANE_OK);
        assert_eq!((CStr::from_ptr(stat.name), stat.value), (c"badsum", 1));
    }
}

#[test]
fn a_node_without_peer_and_witness_is_no_master() {
    let node =
        Node::new(&Plan { dialect: PFPLANE_ELECTION_VRRP3, node: 1, priority: 100, interval_us: 10_000 });
    unsafe {
        assert_eq!(pfplane_election_witness(node.0, false), PFPLANE_OK);
        assert_eq!(pfplane_election_witness(null_mut(), false), PFPLANE_ERROR_NULL);
    }
    (MS..100 * MS).step_by(MS as usize).for_each(|now| drop(node.turn(now)));
    assert_eq!(node.status().role, PFPLANE_ELECTION_INIT);
    unsafe { pfplane_election_witness(node.0, true) };
    (100 * MS..200 * MS).step_by(MS as usize).for_each(|now| drop(node.turn(now)));
    assert_eq!(node.status().role, PFPLANE_ELECTION_MASTER);
    unsafe {
        pfplane_election_witness(node.0, false);
        assert_eq!(pfplane_election_poll(node.0, 200 * MS, None), PFPLANE_OK);
    }
    let status = node.status();
    assert_eq!((status.role, status.why), (PFPLANE_ELECTION_INIT, PFPLANE_ELECTION_WHY_ISOLATED));
}

#[test]
fn reasons_for_a_demotion_are_listed_and_taken_back() {
    let node =
        Node::new(&Plan { dialect: PFPLANE_ELECTION_VRRP3, node: 1, priority: 100, interval_us: 100_000 });
    let reason = |index| unsafe {
        let mut reason: pfplane_election_reason = core::mem::zeroed();
        reason.size = size_of::<pfplane_election_reason>() as u32;
        let status = pfplane_election_reason_at(node.0, index, Some(&mut reason));
        (status == PFPLANE_OK).then(|| (CStr::from_ptr(reason.name.as_ptr()).to_owned(), reason.weight))
    };
    unsafe {
        assert_eq!(pfplane_election_demote(node.0, c"uplink".as_ptr(), 30), PFPLANE_OK);
        assert_eq!(reason(0), Some((c"uplink".to_owned(), 30)));
        assert_eq!((node.status().demotion, reason(1)), (30, None));
        assert_eq!(pfplane_election_demote(node.0, c"uplink".as_ptr(), 0), PFPLANE_OK);
        assert_eq!((node.status().demotion, reason(0)), (0, None));
        assert_eq!(pfplane_election_demote(node.0, c"".as_ptr(), 1), PFPLANE_ERROR_SETTING);
        assert_eq!(pfplane_election_demote(node.0, c"\xff".as_ptr(), 1), PFPLANE_ERROR_ARGUMENT);
        assert_eq!(pfplane_election_demote(node.0, null(), 1), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_election_readiness(node.0, 7), PFPLANE_ERROR_ARGUMENT);
    }
}

#[test]
fn lanes_ask_while_the_control_thread_runs_and_a_second_control_thread_is_refused() {
    let node =
        Node::new(&Plan { dialect: PFPLANE_ELECTION_VRRP3, node: 1, priority: 100, interval_us: 10_000 });
    let shared = node.0 as usize;
    let lane = std::thread::spawn(move || {
        let election = unsafe { (shared as *const pfplane_election).as_ref() };
        (0..200_u64).filter(|turn| pfplane_election_may_forward(election, turn * MS)).count()
    });
    for now in (MS..200 * MS).step_by(MS as usize) {
        node.turn(now);
    }
    assert!(lane.join().expect("the lane ends") <= 200);
    assert_eq!(node.status().role, PFPLANE_ELECTION_MASTER);
}

#[test]
fn hellos_pass_between_nodes_and_arp_is_answered_by_the_master_only() {
    let plan = |node, priority| Plan { dialect: PFPLANE_ELECTION_VRRP3, node, priority, interval_us: 10_000 };
    let nodes = [Node::new(&plan(1, 200)), Node::new(&plan(2, 100))];
    run(&nodes, MS, 200 * MS, false);
    let mut hello = [0; PFPLANE_ELECTION_HELLO_BYTES as usize];
    let mut taken = false;
    unsafe {
        assert_eq!(pfplane_election_hello(nodes[0].0, 200 * MS, hello.as_mut_ptr(), 48), PFPLANE_OK);
        let mut next = [0; PFPLANE_ELECTION_HELLO_BYTES as usize];
        assert_eq!(pfplane_election_hello(nodes[0].0, 200 * MS, next.as_mut_ptr(), 48), PFPLANE_END);
        let too_small = pfplane_election_hello(nodes[0].0, 200 * MS, next.as_mut_ptr(), 47);
        assert_eq!(too_small, PFPLANE_ERROR_BUFFER);
        for expected in [true, false] {
            let status =
                pfplane_election_hello_receive(nodes[1].0, hello.as_ptr(), 48, 200 * MS, out(&mut taken));
            assert_eq!((status, taken), (PFPLANE_OK, expected), "the same one counts once");
        }
        let mut request = [0; 42];
        request[..6].fill(0xff);
        request[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
        request[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        request[22..28].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
        request[28..32].copy_from_slice(&[10, 0, 0, 9]);
        request[38..42].copy_from_slice(&[10, 0, 0, 100]);
        for (node, expected) in [(0, PFPLANE_OK), (1, PFPLANE_END)] {
            let (mut reply, mut length) = ([0; PFPLANE_MAX_ELECTION_ANSWER as usize], 0);
            let (election, buffer) = (nodes[node].0.as_ref(), reply.as_mut_ptr());
            let status = pfplane_election_answer(
                election,
                3,
                0,
                request.as_ptr(),
                42,
                200 * MS,
                buffer,
                PFPLANE_MAX_ELECTION_ANSWER,
                out(&mut length),
            );
            assert_eq!(status, expected);
            if expected == PFPLANE_OK {
                assert_eq!((length, &reply[22..28]), (42, &[0, 0, 0x5e, 0, 1, 7][..]));
            }
        }
        assert_eq!(nodes[0].receive(&request, 200 * MS), PFPLANE_END, "no advert");
    }
}

/// Two nodes that hear each other's adverts until 200 ms, and whose engines are linked all the time.
fn run_deaf(profile: u32, extensions: u8) -> ([Node; 2], [Engine; 2]) {
    let plan = |node, priority| Plan { dialect: PFPLANE_ELECTION_VRRP3, node, priority, interval_us: 10_000 };
    let nodes = [Node::new(&plan(1, 200)), Node::new(&plan(2, 100))];
    let engine = |number| Engine::with_peer(&config(), &pfplane_peer { profile, extensions, ..peer(number) });
    let engines = [engine(1), engine(2)];
    for now in (MS..400 * MS).step_by(MS as usize) {
        for this in 0..2 {
            let greeted = unsafe { pfplane_election_greet(nodes[this].0, engines[this].get(), now) };
            assert_eq!(greeted, PFPLANE_OK);
            for frame in nodes[this].turn(now) {
                if now < 200 * MS {
                    nodes[1 - this].receive(&frame, now);
                }
            }
            let lane = engines[this].lane(0);
            lane.poll(now);
            lane.carry(engines[1 - this].lane(0), now);
        }
    }
    (nodes, engines)
}

#[test]
fn hellos_over_the_sync_link_keep_a_deaf_backup_from_taking_over() {
    for profile in [
        PFPLANE_PROFILE_OPENBSD6,
        PFPLANE_PROFILE_FREEBSD1301,
        PFPLANE_PROFILE_FREEBSD1400,
        PFPLANE_PROFILE_FREEBSD1500,
    ] {
        for (extensions, role) in [(1, PFPLANE_ELECTION_BACKUP), (0, PFPLANE_ELECTION_MASTER)] {
            let (nodes, engines) = run_deaf(profile, extensions);
            let roles = [nodes[0].status().role, nodes[1].status().role];
            assert_eq!(roles, [PFPLANE_ELECTION_MASTER, role], "{profile} {extensions}");
            for engine in &engines {
                let hellos = [engine.stat(c"hellos_sent"), engine.stat(c"hellos_received")];
                let expected = if extensions == 1 { 39..=41 } else { 0..=0 };
                assert!(hellos.iter().all(|count| expected.contains(count)), "{hellos:?}");
                for fault in [c"badlen", c"badact", c"trailer_length", c"options_skipped"] {
                    assert_eq!(engine.stat(fault), 0, "{fault:?}");
                }
            }
        }
    }
    unsafe {
        assert_eq!(pfplane_election_greet(null_mut(), None, 1), PFPLANE_ERROR_NULL);
        let node =
            Node::new(&Plan { dialect: PFPLANE_ELECTION_VRRP3, node: 1, priority: 1, interval_us: 10_000 });
        assert_eq!(pfplane_election_greet(node.0, None, 1), PFPLANE_ERROR_NULL);
    }
}
