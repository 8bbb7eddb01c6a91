//! The codec: writes whole states and compressed updates into frames and reads them, compared with `memcpy` of the same
//! bytes and with a straightforward version that copies field by field.
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

/// Length of the IP header, which a frame is shorter than the MTU.
const IP_BYTES: usize = 20;

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

/// Target of a copied record, with the same cache line alignment in every run.
#[repr(align(64))]
struct Image([u8; 512]);

/// The kind of the records.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    State,
    Update,
}

/// Records of one kind in frames of one length.
struct Workload {
    kind: Kind,
    profile: Profile,
    records: u32,
    mtu: usize,
    states: Vec<FullState>,
    updates: Vec<CompressedUpdate>,
    /// The frames that the records fill.
    frames: Vec<Vec<u8>>,
    /// The bytes of the records, in the same order.
    images: Vec<u8>,
    size: usize,
}

fn push(writer: &mut FrameWriter<'_>, workload: &Workload, at: usize) -> bool {
    match workload.kind {
        Kind::State => writer.push_state(Action::Insert, &workload.states[at]).is_ok(),
        Kind::Update => writer.push_compressed_update(&workload.updates[at]).is_ok(),
    }
}

impl Workload {
    fn new(kind: Kind, profile: Profile, records: u32, mtu: usize) -> Self {
        let size = if kind == Kind::State { profile.state_bytes() } else { 84 };
        let mut workload = Self {
            kind,
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
            let mut frame = vec![0; mtu - IP_BYTES];
            let mut writer = FrameWriter::new(&mut frame, profile, &WriterOptions::default()).unwrap();
            let first = at;
            while at < records as usize && push(&mut writer, &workload, at) {
                at += 1;
            }
            let length = writer.finish();
            frame.truncate(length);
            workload.images.extend(&frame[24..24 + (at - first) * size]);
            workload.frames.push(frame);
        }
        workload
    }

    fn name(&self) -> String {
        let name = if self.kind == Kind::State { self.profile.name() } else { "UPD_C" };
        format!("{name}, {} records, frames of {}", self.records, self.mtu)
    }

    /// Writes all records, frame after frame into one buffer.
    fn encode(&self, frame: &mut [u8]) -> usize {
        let mut at = 0;
        let mut bytes = 0;
        while at < self.records as usize {
            let mut writer = FrameWriter::new(frame, self.profile, &WriterOptions::default()).unwrap();
            at += match self.kind {
                Kind::State => writer.push_states(Action::Insert, &self.states[at..]).unwrap(),
                Kind::Update => writer.push_compressed_updates(&self.updates[at..]),
            };
            bytes += writer.finish();
            black_box(&*frame);
        }
        bytes
    }

    /// Copies the same bytes record by record.
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
        let per_frame = (self.mtu - IP_BYTES - 28) / self.size;
        let mut bytes = 0;
        for first in (0..self.records as usize).step_by(per_frame) {
            let last = (first + per_frame).min(self.records as usize);
            frame.clear();
            frame.resize(24, 0);
            for at in first..last {
                match self.kind {
                    Kind::State => naive_write::state(frame, &self.states[at]),
                    Kind::Update => naive_write::update(frame, &self.updates[at]),
                }
            }
            bytes += frame.len();
            black_box(&*frame);
        }
        bytes
    }

    /// Reads all frames.
    fn decode(&self) -> usize {
        let mut records = 0;
        for frame in &self.frames {
            let mut reader = FrameReader::new(black_box(frame)).unwrap();
            while let Some(Ok(region)) = reader.next_region() {
                match self.kind {
                    Kind::State => region.for_each_state(|state| {
                        records += 1;
                        black_box(state);
                    }),
                    Kind::Update => region.compressed_updates().for_each(|update| {
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
                match self.kind {
                    Kind::State => {
                        black_box(naive_parse::state(record));
                    }
                    Kind::Update => {
                        black_box(naive_parse::update(record));
                    }
                }
            }
        }
        records
    }
}

/// Blocks of a turn. The median counts, so that preemptions do not.
const BLOCKS: usize = 15;

/// Returns a turn of blocks that are just long enough to be timed. Its result is in nanoseconds per record.
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
    println!("  {:.2} of memcpy's speed; one core processes {rate:.0} Gbit/s", copy.over(ours));
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
    let mut workloads = Vec::new();
    for &records in sizes {
        workloads.extend(Profile::ALL.map(|profile| Workload::new(Kind::State, profile, records, 1500)));
        workloads.push(Workload::new(Kind::State, Profile::OpenBsd6, records, 9000));
        workloads.push(Workload::new(Kind::Update, Profile::OpenBsd6, records, 1500));
        workloads.push(Workload::new(Kind::Update, Profile::OpenBsd6, records, 9000));
    }
    if options.full {
        workloads.push(Workload::new(Kind::State, Profile::OpenBsd6, 100_000, 1500));
        workloads.push(Workload::new(Kind::Update, Profile::OpenBsd6, 100_000, 1500));
    }
    for workload in workloads.iter().filter(|workload| options.wants(&workload.name())) {
        let repeat = if options.smoke { 1 } else { (6_000 / workload.records).max(1) };
        let (mut ours, mut copied, mut naive) =
            (vec![0; workload.mtu - IP_BYTES], vec![0; workload.mtu - IP_BYTES], Vec::new());
        let records = workload.records;
        let bits = workload.size * 8;
        let mut contenders: Vec<(String, Turn<'_>)> = vec![
            ("FrameWriter".into(), turn(records, repeat, || workload.encode(&mut ours))),
            ("memcpy".into(), turn(records, repeat, || workload.copy(&mut copied))),
        ];
        if workload.profile == Profile::OpenBsd6 {
            contenders.push(("field by field".into(), turn(records, repeat, || workload.naive(&mut naive))));
        }
        contest(&format!("encode {}", workload.name()), bits, contenders, rounds);
        assert_eq!(workload.decode(), workload.records as usize);
        let mut contenders: Vec<(String, Turn<'_>)> = vec![
            ("FrameReader".into(), turn(records, repeat, || workload.decode())),
            ("memcpy".into(), turn(records, repeat, || workload.copy_out())),
        ];
        if workload.profile == Profile::OpenBsd6 {
            contenders.push(("field by field".into(), turn(records, repeat, || workload.naive_decode())));
        }
        contest(&format!("decode {}", workload.name()), bits, contenders, rounds);
    }
    regions(rounds, options.smoke);
}

/// Measures the cost of a region besides its records: identities in a region each, compared with all in one.
fn regions(rounds: usize, smoke: bool) {
    let repeat = if smoke { 1 } else { 100 };
    const RECORDS: u32 = 80;
    let (mut separate, mut joined) = (vec![0; 1480], vec![0; 1480]);
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
            turn(RECORDS, repeat, || write(&mut separate, black_box(Action::DeleteCompressed))),
        ),
        ("one region".into(), turn(RECORDS, repeat, || write(&mut joined, black_box(Action::InsertAck)))),
    ];
    let timings = run(contenders, rounds);
    let costs: Vec<f64> =
        timings[0].ns.iter().zip(&timings[1].ns).map(|(separate, joined)| separate - joined).collect();
    println!("\na region costs {:.2} ns besides its records", rounds::median(&costs));
}
