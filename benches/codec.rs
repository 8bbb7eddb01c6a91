//! The codec: whole states and compressed updates written into frames and read from them, beside `memcpy` of the same
//! bytes in the same order and beside a version that goes field by field as one would write it first.
//!
//! `cargo bench -p pfplane-bench --bench codec`; see `benches/README.md` for the method.

#[path = "harness/options.rs"]
mod options;
#[path = "harness/rounds.rs"]
mod rounds;

#[path = "contenders/naive_codec.rs"]
mod naive_codec;

use std::hint::black_box;

use naive_codec::{naive_parse, naive_write};
use options::Options;
use pfsync::{
    Action, CompressedUpdate, Family, FrameReader, FrameWriter, FullState, Identity, Profile, StateKey,
    StatePeer, WriterOptions,
};
use rounds::{Timing, Turn, run, time};

/// Bytes of the IP header that a frame's room is less.
const IP: usize = 20;

fn peer(seed: u32) -> StatePeer {
    StatePeer {
        seqlo: seed,
        seqhi: seed + 65_000,
        max_win: 60_000,
        mss: 1460,
        state: 4,
        wscale: 0x87,
        ..Default::default()
    }
}

fn state(number: u32) -> FullState {
    let family = if number.is_multiple_of(2) { Family::V4 } else { Family::V6 };
    let mut addr = [[0; 16]; 2];
    for (slot, addr) in addr.iter_mut().enumerate() {
        addr[..4].copy_from_slice(&(number + slot as u32).to_be_bytes());
    }
    let key = StateKey { addr, port: [[1, 2], [3, 4]], rdomain: 0, family, proto: 6 };
    FullState {
        id: Identity { id: u64::from(number), creator: 7 },
        ifname: *b"all\0\0\0\0\0\0\0\0\0\0\0\0\0",
        key: [key; 2],
        src: peer(number),
        dst: peer(!number >> 1),
        family,
        direction: 1,
        timeout: 2,
        expire: 86_400,
        packets: [u64::from(number), 9],
        bytes: [u64::from(number) * 1000, 900],
        ..FullState::EMPTY
    }
}

fn update(number: u32) -> CompressedUpdate {
    let FullState { id, src, dst, timeout, .. } = state(number);
    CompressedUpdate { id, src, dst, expire: 0, timeout }
}

/// Where a record is copied to, the same place in a cache line in every run.
#[repr(align(64))]
struct Image([u8; 512]);

/// What goes into a frame: whole states of a dialect, or compressed updates.
#[derive(Clone, Copy, PartialEq)]
enum What {
    State,
    Update,
}

/// One size of the work: records of one kind in frames of one length.
struct Work {
    what: What,
    profile: Profile,
    records: u32,
    mtu: usize,
    states: Vec<FullState>,
    updates: Vec<CompressedUpdate>,
    /// The frames that the records fill, one behind the other.
    frames: Vec<Vec<u8>>,
    /// The records' bytes alone, in the same order.
    images: Vec<u8>,
    size: usize,
}

fn push(writer: &mut FrameWriter<'_>, work: &Work, at: usize) -> bool {
    match work.what {
        What::State => writer.push_state(Action::Insert, &work.states[at]).is_ok(),
        What::Update => writer.push_compressed_update(&work.updates[at]).is_ok(),
    }
}

impl Work {
    fn new(what: What, profile: Profile, records: u32, mtu: usize) -> Self {
        let size = if what == What::State { profile.state_bytes() } else { 84 };
        let mut work = Self {
            what,
            profile,
            records,
            mtu,
            states: (0..records).map(state).collect(),
            updates: (0..records).map(update).collect(),
            frames: Vec::new(),
            images: Vec::new(),
            size,
        };
        let mut at = 0;
        while at < records as usize {
            let mut frame = vec![0; mtu - IP];
            let mut writer = FrameWriter::new(&mut frame, profile, &WriterOptions::default()).unwrap();
            let first = at;
            while at < records as usize && push(&mut writer, &work, at) {
                at += 1;
            }
            let length = writer.finish();
            frame.truncate(length);
            work.images.extend(&frame[24..24 + (at - first) * size]);
            work.frames.push(frame);
        }
        work
    }

    fn name(&self) -> String {
        let what = if self.what == What::State { self.profile.name() } else { "UPD_C" };
        format!("{what}, {} records, frames of {}", self.records, self.mtu)
    }

    /// Writes all records into one frame's memory again and again.
    fn encode(&self, frame: &mut [u8]) -> usize {
        let mut at = 0;
        let mut bytes = 0;
        while at < self.records as usize {
            let mut writer = FrameWriter::new(frame, self.profile, &WriterOptions::default()).unwrap();
            at += match self.what {
                What::State => writer.push_states(Action::Insert, &self.states[at..]).unwrap(),
                What::Update => writer.push_compressed_updates(&self.updates[at..]),
            };
            bytes += writer.finish();
            black_box(&*frame);
        }
        bytes
    }

    /// The same bytes, copied record by record.
    fn copy(&self, frame: &mut [u8]) -> usize {
        let mut images = self.images.chunks_exact(self.size);
        let per_frame = (frame.len() - 28) / self.size;
        let mut bytes = 0;
        loop {
            let mut at = 24;
            for image in images.by_ref().take(per_frame) {
                frame[at..at + self.size].copy_from_slice(image);
                at += self.size;
            }
            if at == 24 {
                return bytes;
            }
            bytes += at;
            black_box(&*frame);
        }
    }

    fn naive(&self, frame: &mut Vec<u8>) -> usize {
        let per_frame = (self.mtu - IP - 28) / self.size;
        let mut bytes = 0;
        for first in (0..self.records as usize).step_by(per_frame) {
            let last = (first + per_frame).min(self.records as usize);
            frame.clear();
            frame.resize(24, 0);
            for at in first..last {
                match self.what {
                    What::State => naive_write::state(frame, &self.states[at]),
                    What::Update => naive_write::update(frame, &self.updates[at]),
                }
            }
            bytes += frame.len();
            black_box(&*frame);
        }
        bytes
    }

    /// Reads all frames; every record is handed to the optimiser's blind spot.
    fn decode(&self) -> usize {
        let mut records = 0;
        for frame in &self.frames {
            let mut reader = FrameReader::new(black_box(frame)).unwrap();
            while let Some(Ok(region)) = reader.next_region() {
                match self.what {
                    What::State => region.for_each_state(|state| {
                        records += 1;
                        black_box(state);
                    }),
                    What::Update => region.compressed_updates().for_each(|update| {
                        records += 1;
                        black_box(&update);
                    }),
                }
            }
        }
        records
    }

    fn copy_out(&self) -> usize {
        let mut records = 0;
        let Image(image) = &mut Image([0; 512]);
        for frame in &self.frames {
            for record in black_box(frame)[24..].chunks_exact(self.size) {
                image[..self.size].copy_from_slice(record);
                black_box(&*image);
                records += 1;
            }
        }
        records
    }

    fn naive_decode(&self) -> usize {
        let mut records = 0;
        for frame in &self.frames {
            for record in black_box(frame)[24..].chunks_exact(self.size) {
                records += 1;
                match self.what {
                    What::State => {
                        black_box(naive_parse::state(record));
                    }
                    What::Update => {
                        black_box(naive_parse::update(record));
                    }
                }
            }
        }
        records
    }
}

/// Blocks of a turn, of which the middle one counts: the scheduler's absences fall out.
const BLOCKS: usize = 15;

/// A turn of blocks that are just long enough to be timed. Nanoseconds a record.
fn turn<'a>(records: u32, repeat: u32, mut pass: impl FnMut() -> usize + 'a) -> Turn<'a> {
    Box::new(move || {
        let blocks: Vec<f64> = (0..BLOCKS)
            .map(|_| {
                let (ns, sum) = time(|| (0..repeat).map(|_| pass()).sum::<usize>());
                black_box(sum);
                ns / f64::from(repeat) / f64::from(records)
            })
            .collect();
        rounds::median(&blocks)
    })
}

fn contest(title: &str, bits: usize, contenders: Vec<(String, Turn<'_>)>, rounds: usize) {
    let timings: Vec<Timing> = run(contenders, rounds);
    let [ours, copy, ..] = &timings[..] else { return };
    println!("\n{title}");
    println!("  {:<22} {:>8} {:>8} {:>7} {:>10}", "", "best ns", "median", "spread", "over ours");
    for timing in &timings {
        let (best, median, spread) = (timing.best(), timing.median(), timing.spread());
        println!("  {:<22} {best:>8.2} {median:>8.2} {spread:>7.2} {:>9.2}x", timing.name, timing.over(ours));
    }
    let rate = bits as f64 / ours.median();
    println!("  {:.2} of memcpy's speed; one core carries {rate:.0} Gbit/s of these", copy.over(ours));
}

fn main() {
    let options = Options::from_arguments("codec");
    let rounds = options.rounds.unwrap_or(if options.smoke {
        1
    } else if options.full {
        31
    } else {
        11
    });
    let sizes: &[u32] = if options.smoke { &[64] } else { &[64, 1_500] };
    let mut works = Vec::new();
    for &records in sizes {
        works.extend(Profile::ALL.map(|profile| Work::new(What::State, profile, records, 1500)));
        works.push(Work::new(What::State, Profile::OpenBsd6, records, 9000));
        works.push(Work::new(What::Update, Profile::OpenBsd6, records, 1500));
        works.push(Work::new(What::Update, Profile::OpenBsd6, records, 9000));
    }
    if options.full {
        works.push(Work::new(What::State, Profile::OpenBsd6, 100_000, 1500));
        works.push(Work::new(What::Update, Profile::OpenBsd6, 100_000, 1500));
    }
    for work in works.iter().filter(|work| options.wants(&work.name())) {
        let repeat = if options.smoke { 1 } else { (6_000 / work.records).max(1) };
        let (mut ours, mut copied, mut naive) = (vec![0; work.mtu - IP], vec![0; work.mtu - IP], Vec::new());
        let records = work.records;
        let bits = work.size * 8;
        let mut contenders: Vec<(String, Turn<'_>)> = vec![
            ("FrameWriter".into(), turn(records, repeat, || work.encode(&mut ours))),
            ("memcpy".into(), turn(records, repeat, || work.copy(&mut copied))),
        ];
        if work.profile == Profile::OpenBsd6 {
            contenders.push(("field by field".into(), turn(records, repeat, || work.naive(&mut naive))));
        }
        contest(&format!("encode {}", work.name()), bits, contenders, rounds);
        assert_eq!(work.decode(), work.records as usize);
        let mut contenders: Vec<(String, Turn<'_>)> = vec![
            ("FrameReader".into(), turn(records, repeat, || work.decode())),
            ("memcpy".into(), turn(records, repeat, || work.copy_out())),
        ];
        if work.profile == Profile::OpenBsd6 {
            contenders.push(("field by field".into(), turn(records, repeat, || work.naive_decode())));
        }
        contest(&format!("decode {}", work.name()), bits, contenders, rounds);
    }
    regions(rounds, options.smoke);
}

/// What a region costs beside its records: identities, each in a region of its own, against all in one.
fn regions(rounds: usize, smoke: bool) {
    let repeat = if smoke { 1 } else { 100 };
    const RECORDS: u32 = 80;
    let (mut apart, mut together) = (vec![0; 1480], vec![0; 1480]);
    let write = |buffer: &mut Vec<u8>, second: Action| {
        let mut writer = FrameWriter::new(buffer, Profile::OpenBsd6, &WriterOptions::default()).unwrap();
        for number in 0..u64::from(RECORDS / 2) {
            let id = Identity { id: number, creator: 7 };
            writer.push_id(Action::InsertAck, id).unwrap();
            writer.push_id(second, id).unwrap();
        }
        let length = writer.finish();
        black_box(&*buffer);
        length
    };
    let contenders: Vec<(String, Turn<'_>)> = vec![
        (
            "a region each".into(),
            turn(RECORDS, repeat, || write(&mut apart, black_box(Action::DeleteCompressed))),
        ),
        ("one region".into(), turn(RECORDS, repeat, || write(&mut together, black_box(Action::InsertAck)))),
    ];
    let timings = run(contenders, rounds);
    let costs: Vec<f64> = timings[0].ns.iter().zip(&timings[1].ns).map(|(apart, one)| apart - one).collect();
    println!("\na region costs {:.2} ns beside its records", rounds::median(&costs));
}
