//! Two nodes whose lanes run on threads of their own, while a control thread of each changes what it may at any time.
//! `./x sanitize thread` runs these tests under ThreadSanitizer.

use super::world::*;
use pfplane::internals::ffi::*;
use pfplane_testkit::{Packet, Random};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

const LANES: u32 = 3;
const CAPACITY: u32 = 2000;
/// Bursts of each lane. Miri and the sanitizers run 10 to 1000 times slower.
const ROUNDS: u32 = if cfg!(miri) { 20 } else { 600 };
const BURST: usize = 8;

/// What one thread sends to another.
enum Message {
    /// A packet that another lane owns.
    Packet(Vec<u8>),
    /// A frame of the peer.
    Frame(Vec<u8>),
}

/// A pointer that one thread uses at a time, or that any thread may use.
#[derive(Clone, Copy)]
struct Shared<T>(T);

// SAFETY: lanes are used by one thread each, and calls on engines are safe from any thread, which is what the test is about.
unsafe impl<T> Send for Shared<T> {}
unsafe impl<T> Sync for Shared<T> {}

/// What the thread of a lane has.
struct Worker {
    lane: Lane,
    number: usize,
    /// The lanes of this node.
    siblings: Vec<Sender<Message>>,
    /// The sync lane of the other node.
    peer: Sender<Message>,
    inbox: Receiver<Message>,
    random: Random,
}

fn node(number: u8) -> Engine {
    let mut config = config();
    config.lanes = LANES;
    config.states_per_lane = CAPACITY;
    config.host_id = u32::from(number);
    config.max_half_open = 1000;
    config.source_limits.max_src_states = 500;
    config.min_bulk_interval_ms = 1;
    Engine::with_peer(&config, &peer(number))
}

impl Worker {
    fn run(mut self, started: Instant) {
        for round in 0..ROUNDS {
            let now = now(started);
            let packets: Vec<_> = (0..BURST).map(|_| self.packet()).collect();
            packets.iter().for_each(|packet| self.forward(packet, now));
            self.receive(now);
            self.lane.poll(now);
            for frame in self.lane.flush(now) {
                // Now and then the port does not take a frame.
                if self.random.chance(5) {
                    let (bytes, length) = (frame.as_ptr(), frame.len() as u32);
                    let status = unsafe { pfplane_lane_requeue(self.lane.get(), bytes, length, now) };
                    assert_eq!(status, PFPLANE_OK);
                } else {
                    // The peer's thread may have ended.
                    let _ = self.peer.send(Message::Frame(frame));
                }
            }
            if round % 200 == 199 {
                self.kill_some(now);
            }
        }
    }

    /// Draws a SYN, or a segment that ends a connection.
    fn packet(&mut self) -> Vec<u8> {
        let client = self.random.below_u32(20);
        let ports = [1024 + self.random.below(400) as u16, 80];
        let syn = Packet::syn(self.random.chance(300), client, 1, ports);
        if self.random.chance(100) { Packet { flags: 4, ..syn }.tcp() } else { syn.tcp() }
    }

    fn forward(&mut self, packet: &[u8], now: u64) {
        let burst = burst(PFPLANE_IN, now);
        let verdict = self.lane.look_up(&burst, packet);
        match verdict.action {
            PFPLANE_NEW => {
                let created = self.lane.create(&burst, packet);
                assert_ne!(created.action, PFPLANE_HANDOFF, "only the owner sees PFPLANE_NEW");
            }
            PFPLANE_HANDOFF => {
                assert_ne!(usize::from(verdict.lane), self.number, "handed off to itself");
                let _ = self.siblings[usize::from(verdict.lane)].send(Message::Packet(packet.to_vec()));
            }
            _ => {}
        }
    }

    fn receive(&mut self, now: u64) {
        while let Ok(message) = self.inbox.try_recv() {
            match message {
                Message::Packet(packet) => self.forward(&packet, now),
                Message::Frame(frame) => self.lane.receive(&frame, now),
            }
        }
    }

    fn kill_some(&self, now: u64) {
        let mut filter: pfplane_state_filter = zeroed();
        filter.size = size::<pfplane_state_filter>();
        filter.fields = PFPLANE_FILTER_SOURCE_PORT;
        filter.source_port = 1100;
        let (mut cursor, mut killed) = (0, 0);
        let status = pfplane_lane_state_kill(
            self.lane.get(),
            now,
            Some(&filter),
            256,
            Some(&mut cursor),
            out(&mut killed),
        );
        assert!(status == PFPLANE_OK || status == PFPLANE_END, "{}", last_error());
    }
}

/// Time since the start, so that all threads have one clock.
fn now(started: Instant) -> u64 {
    SECOND + started.elapsed().as_nanos() as u64
}

/// Calls everything that any thread may call at any time, until the lanes are done.
fn control(engine: Shared<*mut pfplane_engine>, is_done: &AtomicBool, mut random: Random) {
    let Shared(pointer) = engine;
    let address = pfplane_address { family: 4, reserved: [0; 3], bytes: [10; 16] };
    while !is_done.load(Ordering::Relaxed) {
        // SAFETY: the engine outlives this thread.
        let engine = unsafe { pointer.as_ref() };
        let status = match random.below(100) {
            0 => unsafe { pfplane_engine_clear(pointer) },
            1 | 2 => unsafe { pfplane_engine_bulk_request(pointer) },
            3 => unsafe { pfplane_engine_bulk_push(pointer) },
            4 => unsafe { pfplane_engine_tune(pointer, 1, random.between(10, 100) as u32, 16, 8) },
            5 => unsafe { pfplane_engine_sync_link(pointer, random.chance(500)) },
            _ => {
                let (mut states, mut connections) = (0, 0);
                pfplane_engine_source(
                    engine,
                    Some(&address),
                    u32::MAX,
                    out(&mut states),
                    out(&mut connections),
                )
            }
        };
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
        let _ = pfplane_engine_ready(engine);
        let mut bulk = pfplane_bulk { size: size::<pfplane_bulk>(), ..zeroed() };
        assert_eq!(pfplane_engine_bulk(engine, Some(&mut bulk)), PFPLANE_OK);
        let all = statistics(|index, stat| pfplane_engine_stat(engine, PFPLANE_ALL_LANES, index, Some(stat)));
        assert!(all.iter().any(|(name, ..)| name == "states"));
        thread::yield_now();
    }
    assert_eq!(unsafe { pfplane_engine_sync_link(pointer, true) }, PFPLANE_OK);
}

/// Starts every lane and both control threads, and returns when all have ended.
fn run(engines: &[Engine; 2], started: Instant) {
    let channels: Vec<Vec<_>> =
        engines.iter().map(|_| (0..LANES).map(|_| channel::<Message>()).collect()).collect();
    let senders: Vec<Vec<_>> =
        channels.iter().map(|node| node.iter().map(|(sender, _)| sender.clone()).collect()).collect();
    let (running, is_done) = (AtomicUsize::new(2 * LANES as usize), AtomicBool::new(false));
    thread::scope(|scope| {
        for ((index, engine), inboxes) in engines.iter().enumerate().zip(channels) {
            for (number, (_, inbox)) in inboxes.into_iter().enumerate() {
                let worker = Shared(Worker {
                    lane: engine.lane(number as u32),
                    number,
                    siblings: senders[index].clone(),
                    peer: senders[1 - index][0].clone(),
                    inbox,
                    random: Random::stream(index as u64, number as u64),
                });
                let (running, is_done) = (&running, &is_done);
                scope.spawn(move || {
                    let Shared(worker) = { worker };
                    worker.run(started);
                    if running.fetch_sub(1, Ordering::AcqRel) == 1 {
                        is_done.store(true, Ordering::Release);
                    }
                });
            }
            let (engine, is_done) = (Shared(engine.0), &is_done);
            scope.spawn(move || control(engine, is_done, Random::stream(index as u64, 99)));
        }
    });
}

#[test]
fn lanes_on_threads_of_their_own_and_a_control_thread_share_an_engine() {
    let engines = [node(1), node(2)];
    let started = Instant::now();
    run(&engines, started);
    settle(&engines, now(started));
    for engine in &engines {
        let listed: usize = (0..LANES).map(|lane| engine.lane(lane).states(now(started)).len()).sum();
        assert_eq!(engine.stat(c"states"), listed as u64);
        assert!(listed <= (LANES * CAPACITY) as usize);
    }
    // Each kind of work that crosses threads was done.
    for name in
        [c"states_created", c"states_imported", c"packets_handed_off", c"deletes_sent", c"bulk_states_sent"]
    {
        let counts = engines.each_ref().map(|engine| engine.stat(name));
        assert!(counts.iter().all(|&count| count > 0), "{name:?}: {counts:?}");
    }
}

/// Polls all lanes for two seconds of virtual time and exchanges their frames.
fn settle(engines: &[Engine; 2], from: u64) {
    for step in 0..200 {
        let now = from + step * 10 * MS;
        for (engine, peer) in [(&engines[0], &engines[1]), (&engines[1], &engines[0])] {
            for lane in (0..LANES).map(|lane| engine.lane(lane)) {
                lane.poll(now);
                lane.carry(peer.lane(0), now);
            }
        }
    }
}
