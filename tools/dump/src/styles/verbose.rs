//! Every field, as pf prints it.

use std::io::Write;

use pfsync::{
    Action, CompressedUpdate, FullState, Invalid, Protection, Record, StatePeer, Tdb, TrailerFields,
    TrailerOption, bulk_status, ip_protocol,
};

use super::frame_prefix;
use crate::pf_text;
use crate::report::{Fault, FrameInfo, Output, RegionInfo, TrailerInfo, option_name};

/// Writes states as `pfctl -ss -vv` does, followed by the fields that pfctl does not print.
#[derive(Debug)]
pub struct Verbose<W> {
    out: W,
}

impl<W: Write> Verbose<W> {
    /// Writes to `out`. Write errors end the output silently.
    pub const fn new(out: W) -> Self {
        Self { out }
    }
}

/// Returns OpenBSD tcpdump's name of an action.
const fn tcpdump_name(action: Action) -> &'static str {
    match action {
        Action::Clear => "CLR ST",
        Action::Insert => "INS ST",
        Action::InsertAck => "INS ST ACK",
        Action::Update => "UPD ST",
        Action::UpdateCompressed => "UPD ST COMP",
        Action::UpdateRequest => "UPD ST REQ",
        Action::Delete => "DEL ST",
        Action::DeleteCompressed => "DEL ST COMP",
        Action::BulkStatus => "BULK UPD STAT",
        Action::Tdb => "UPD TDB",
        Action::Eof => "EOF",
    }
}

fn sequence(peer: &StatePeer, wscale: bool) -> String {
    let mut text = format!("[{} + {}]", peer.seqlo, peer.seqhi.wrapping_sub(peer.seqlo));
    if peer.seqdiff != 0 {
        text.push_str(&format!("(+{})", peer.seqdiff));
    }
    if wscale {
        text.push_str(&format!(" wscale {}", peer.wscale & 0x0f));
    }
    text
}

fn scrub(name: &str, peer: &StatePeer) -> Option<String> {
    (peer.scrub.valid == 1).then(|| {
        format!(
            "{name} scrub: ttl {} flags {:#06x} ts-mod {}",
            peer.scrub.ttl, peer.scrub.flags, peer.scrub.ts_mod
        )
    })
}

/// Windows, segment sizes and scrub data, which pfctl does not print.
fn windows(src: &StatePeer, dst: &StatePeer) -> String {
    let side =
        |peer: &StatePeer| format!("win {} mss {} wscale {:#04x}", peer.max_win, peer.mss, peer.wscale);
    let mut text = format!("src {}, dst {}", side(src), side(dst));
    for scrub in [scrub("src", src), scrub("dst", dst)].into_iter().flatten() {
        text.push_str(", ");
        text.push_str(&scrub);
    }
    text
}

/// Returns the lines of a whole state, without indentation. Those up to the ages are pfctl's.
#[must_use]
pub fn state_lines(state: &FullState) -> Vec<String> {
    let proto = state.key[0].proto;
    let (first, second) =
        if state.direction == 2 { (&state.src, &state.dst) } else { (&state.dst, &state.src) };
    let peer_states = pf_text::peer_states(proto, first.state, second.state);
    let hosts = format!("{} {} {}", pf_text::text(&state.ifname), pf_text::protocol(proto), state.hosts());
    let mut lines = Vec::new();
    if proto == ip_protocol::TCP {
        let wscale = first.wscale != 0 && second.wscale != 0;
        lines.push(hosts);
        lines.push(peer_states);
        lines.push(format!("{}  {}", sequence(first, wscale), sequence(second, wscale)));
    } else {
        lines.push(format!("{hosts}       {peer_states}"));
    }
    lines.push(ages(state));
    lines.push(format!("id: {:016x} creatorid: {:08x}", state.id.id, state.id.creator));
    lines.push(format!(
        "timeout {}, {}",
        pf_text::timeout_class(state.timeout),
        windows(&state.src, &state.dst)
    ));
    lines.extend(other_fields(state));
    lines
}

fn ages(state: &FullState) -> String {
    let mut text = format!(
        "age {}, expires in {}, {}:{} pkts, {}:{} bytes",
        pf_text::clock(state.creation),
        pf_text::clock(state.expire),
        state.packets[0],
        state.packets[1],
        state.bytes[0],
        state.bytes[1],
    );
    for (name, number) in [("anchor", state.anchor), ("rule", state.rule)] {
        if number != u32::MAX {
            text.push_str(&format!(", {name} {number}"));
        }
    }
    text
}

/// The fields that pfctl prints elsewhere or not at all, if they are set.
fn other_fields(state: &FullState) -> Option<String> {
    let mut parts = Vec::new();
    let mut part = |set: bool, text: String| {
        if set {
            parts.push(text);
        }
    };
    part(state.state_flags != 0, format!("flags {}", pf_text::flags(state.state_flags).join(" ")));
    part(state.sync_flags & 0x04 != 0, "source-track".to_owned());
    part(state.sync_flags & 0x08 != 0, "nat-source-track".to_owned());
    let rdomains = [state.key[0].rdomain, state.key[1].rdomain];
    part(rdomains[0] != rdomains[1], format!("rdomains {} {}", rdomains[0], rdomains[1]));
    part(state.log != 0, format!("log {:#04x}", state.log));
    part(state.nat_rule != u32::MAX, format!("nat-rule {}", state.nat_rule));
    part(state.rtableid != [-1; 2], format!("rtable {} {}", state.rtableid[0], state.rtableid[1]));
    part(state.max_mss != 0, format!("max-mss {}", state.max_mss));
    part(state.min_ttl != 0, format!("min-ttl {}", state.min_ttl));
    part(state.set_tos != 0, format!("set-tos {:#04x}", state.set_tos));
    part(state.set_prio != [0; 2], format!("set-prio {} {}", state.set_prio[0], state.set_prio[1]));
    let route_set = state.rt != 0 || state.rt_addr != [0; 16];
    part(
        route_set,
        format!(
            "{} {}",
            pf_text::routing_option(state.rt),
            pf_text::address(&state.rt_addr, state.key[0].family)
        ),
    );
    part(state.rt_ifname[0] != 0, format!("rt-if {}", pf_text::text(&state.rt_ifname)));
    part(state.orig_ifname[0] != 0, format!("orig-if {}", pf_text::text(&state.orig_ifname)));
    part(state.tagname[0] != 0, format!("tag {}", pf_text::text(&state.tagname)));
    part(state.qid | state.pqid != 0, format!("queues {} {}", state.qid, state.pqid));
    part(state.dnpipe | state.dnrpipe != 0, format!("pipes {} {}", state.dnpipe, state.dnrpipe));
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn update_lines(update: &CompressedUpdate) -> Vec<String> {
    vec![
        format!("id: {:016x} creatorid: {:08x}", update.id.id, update.id.creator),
        format!(
            "states {}:{} timeout {}",
            update.src.state,
            update.dst.state,
            pf_text::timeout_class(update.timeout)
        ),
        format!("{}  {}", sequence(&update.src, false), sequence(&update.dst, false)),
        windows(&update.src, &update.dst),
    ]
}

fn tdb_lines(tdb: &Tdb) -> Vec<String> {
    let address = pf_text::hex(&tdb.destination);
    vec![
        format!("spi: 0x{:08x} rpl: {} cur_bytes: {}", tdb.spi, tdb.replay, tdb.bytes),
        format!("proto {} rdomain {} dst {address}", pf_text::protocol(tdb.proto), tdb.rdomain),
    ]
}

/// `gmac key 1 flow 2 lane 3 epoch 0405060708090a0b seq 17 clock 5 flags 1`
fn trailer_text(trailer: &TrailerInfo) -> String {
    let TrailerFields { protection, key, flow, lane, epoch, sequence, clock, flags } = trailer.fields;
    let protection = match protection {
        Protection::None => "plain",
        Protection::Gmac => "gmac",
        Protection::Gcm => "gcm",
    };
    let fields = format!(
        "{protection} key {key} flow {flow} lane {lane} epoch {epoch:016x} seq {sequence} clock {clock} flags {flags}"
    );
    if trailer.tag.is_empty() { fields } else { format!("{fields} tag {}", pf_text::hex(&trailer.tag)) }
}

/// `STATE_OPAQUE id: 0000000000000007 creatorid: 9f49b47d 74656e616e74`, or the name and the value.
fn option_text(kind: u8, value: &[u8]) -> String {
    let name = option_name(kind);
    match (TrailerOption { kind, value }).state() {
        Some(about) => {
            let (id, creator) = (about.id.id, about.id.creator);
            format!("{name} id: {id:016x} creatorid: {creator:08x} {}", pf_text::hex(about.value))
        }
        None => format!("{name} {}", pf_text::hex(value)),
    }
}

fn record_lines(record: &Record) -> Vec<String> {
    match record {
        Record::State(state) => state_lines(state),
        Record::Compressed(update) => update_lines(update),
        Record::Id(id) => vec![format!("id: {:016x} creatorid: {:08x}", id.id, id.creator)],
        Record::Clear(clear) => match pf_text::text(&clear.ifname) {
            name if name.is_empty() => vec![format!("creatorid: {:08x}", clear.creator)],
            name => vec![format!("creatorid: {:08x} interface: {name}", clear.creator)],
        },
        Record::BulkStatus(status) => {
            let name = match status.status {
                bulk_status::START => "start".to_owned(),
                bulk_status::END => "end".to_owned(),
                other => format!("unknown ({other})"),
            };
            let age = pf_text::clock(status.endtime);
            vec![format!("creatorid: {:08x} age: {age} status: {name}", status.creator)]
        }
        Record::Tdb(tdb) => tdb_lines(tdb),
    }
}

impl<W: Write> Output for Verbose<W> {
    fn frame(&mut self, frame: &FrameInfo) {
        let _ = write!(self.out, "{}: PFSYNCv{} len {}", frame_prefix(frame), frame.version, frame.length);
        if frame.checksum != [0; 16] {
            let _ = write!(self.out, " checksum {}", pf_text::hex(&frame.checksum));
        }
        if frame.trailer != 0 {
            let _ = write!(self.out, " trailer {}", frame.trailer);
        }
        if let Some(seal) = frame.seal {
            let _ = write!(self.out, " {seal}");
        }
        let _ = writeln!(self.out);
        if let Some(trailer) = &frame.pfplane {
            let _ = writeln!(self.out, "    trailer {}", trailer_text(trailer));
            for (kind, value) in &trailer.options {
                let _ = writeln!(self.out, "\t{}", option_text(*kind, value));
            }
        }
    }

    fn region(&mut self, region: &RegionInfo) {
        let profile = region.profile.map_or_else(String::new, |profile| format!(" ({profile})"));
        let _ = writeln!(self.out, "    act {} count {}{profile}", tcpdump_name(region.action), region.count);
    }

    fn record(&mut self, _: &RegionInfo, record: &Record, invalid: Option<Invalid>) {
        for (number, line) in record_lines(record).iter().enumerate() {
            let _ = writeln!(self.out, "{}{line}", if number == 0 { "\t" } else { "\t   " });
        }
        if let Some(invalid) = invalid {
            let _ = writeln!(self.out, "\t   [badval: {}]", invalid.name());
        }
    }

    fn fault(&mut self, fault: Fault) {
        let _ = writeln!(self.out, "    [{fault}]");
    }

    fn end(&mut self) {}
}
