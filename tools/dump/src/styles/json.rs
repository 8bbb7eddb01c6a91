//! One JSON object for each frame, one frame a line.

use std::io::Write;

use pfsync::{FullState, Invalid, Record, StateKey, StatePeer, Version};
use serde_json::{Map, Value, json};

use crate::pf_text::{self, hex};
use crate::report::{Fault, FrameInfo, Output, RegionInfo, TrailerInfo, option_name};

/// Writes JSON with pf's field names. Ids are hex digits, -1 is "none", addresses are text.
#[derive(Debug)]
pub struct Json<W> {
    out: W,
    frame: Map<String, Value>,
    sections: Vec<Value>,
    faults: Vec<Value>,
}

impl<W: Write> Json<W> {
    /// Writes to `out`. Write errors end the output silently.
    pub fn new(out: W) -> Self {
        Self { out, frame: Map::new(), sections: Vec::new(), faults: Vec::new() }
    }
}

fn number_or_none(number: u32) -> Value {
    if number == u32::MAX { json!(-1) } else { json!(number) }
}

fn key(key: &StateKey, version: u8) -> Value {
    let version = if version == Version::V5 as u8 { Version::V5 } else { Version::V6 };
    let address = |slot: usize| pf_text::address(&key.addr[slot], key.family);
    json!({
        "af": key.family.number(version),
        "proto": key.proto,
        "rdomain": key.rdomain,
        "addr": [address(0), address(1)],
        "port": key.port.map(u16::from_be_bytes),
    })
}

fn peer(peer: &StatePeer) -> Value {
    let scrub = (peer.scrub.valid == 1)
        .then(|| json!({"flags": peer.scrub.flags, "ttl": peer.scrub.ttl, "ts_mod": peer.scrub.ts_mod}));
    json!({
        "seqlo": peer.seqlo,
        "seqhi": peer.seqhi,
        "seqdiff": peer.seqdiff,
        "max_win": peer.max_win,
        "mss": peer.mss,
        "state": peer.state,
        "wscale": peer.wscale,
        "scrub": scrub,
    })
}

/// A whole state. `rt` is a name, because the systems number it differently.
fn state(state: &FullState, version: u8) -> Value {
    let rt_addr = (state.rt_addr != [0; 16]).then(|| pf_text::address(&state.rt_addr, state.key[0].family));
    json!({
        "id": format!("{:016x}", state.id.id),
        "creatorid": format!("{:08x}", state.id.creator),
        "ifname": pf_text::text(&state.ifname),
        "direction": state.direction,
        "wire": key(&state.key[0], version),
        "stack": key(&state.key[1], version),
        "src": peer(&state.src),
        "dst": peer(&state.dst),
        "rt": pf_text::routing_option(state.rt),
        "rt_addr": rt_addr,
        "rt_ifname": pf_text::text(&state.rt_ifname),
        "orig_ifname": pf_text::text(&state.orig_ifname),
        "tag": pf_text::text(&state.tagname),
        "rule": number_or_none(state.rule),
        "anchor": number_or_none(state.anchor),
        "nat_rule": number_or_none(state.nat_rule),
        "packets": state.packets,
        "bytes": state.bytes,
        "age": state.creation,
        "expires_in": state.expire,
        "timeout": state.timeout,
        "timeout_name": pf_text::timeout_class(state.timeout),
        "state_flags": state.state_flags,
        "flags": pf_text::flags(state.state_flags),
        "sync_flags": state.sync_flags,
        "log": state.log,
        "max_mss": state.max_mss,
        "min_ttl": state.min_ttl,
        "set_tos": state.set_tos,
        "set_prio": state.set_prio,
        "rtableid": state.rtableid,
        "qid": state.qid,
        "pqid": state.pqid,
        "dnpipe": state.dnpipe,
        "dnrpipe": state.dnrpipe,
    })
}

fn record_value(record: &Record, version: u8) -> Value {
    match record {
        Record::State(full) => state(full, version),
        Record::Compressed(update) => json!({
            "id": format!("{:016x}", update.id.id),
            "creatorid": format!("{:08x}", update.id.creator),
            "src": peer(&update.src),
            "dst": peer(&update.dst),
            "timeout": update.timeout,
            "timeout_name": pf_text::timeout_class(update.timeout),
        }),
        Record::Id(id) => {
            json!({"id": format!("{:016x}", id.id), "creatorid": format!("{:08x}", id.creator)})
        }
        Record::Clear(clear) => {
            json!({"ifname": pf_text::text(&clear.ifname), "creatorid": format!("{:08x}", clear.creator)})
        }
        Record::BulkStatus(status) => json!({
            "creatorid": format!("{:08x}", status.creator),
            "endtime": status.endtime,
            "status": status.status,
        }),
        Record::Tdb(tdb) => json!({
            "spi": format!("{:08x}", tdb.spi),
            "dst": hex(&tdb.destination),
            "rpl": tdb.replay,
            "cur_bytes": tdb.bytes,
            "sproto": tdb.proto,
            "rdomain": tdb.rdomain,
        }),
    }
}

fn trailer_value(trailer: &TrailerInfo) -> Value {
    let fields = &trailer.fields;
    let options = trailer
        .options
        .iter()
        .map(|(kind, value)| json!({ "kind": kind, "name": option_name(*kind), "value": hex(value) }));
    json!({
        "protection": format!("{:?}", fields.protection).to_lowercase(),
        "key": fields.key,
        "flow": fields.flow,
        "lane": fields.lane,
        "epoch": format!("{:016x}", fields.epoch),
        "sequence": fields.sequence,
        "clock": fields.clock,
        "flags": fields.flags,
        "options": options.collect::<Vec<_>>(),
        "tag": hex(&trailer.tag),
    })
}

impl<W: Write> Output for Json<W> {
    fn frame(&mut self, frame: &FrameInfo) {
        self.sections.clear();
        self.faults.clear();
        self.frame.clear();
        let time = format!("{}.{:06}", frame.time.as_secs(), frame.time.subsec_micros());
        let mut set = |name: &str, value: Value| self.frame.insert(name.to_owned(), value);
        set("n", json!(frame.number));
        set("time", json!(time));
        if let Some(envelope) = &frame.envelope {
            set("source", json!(envelope.source.to_string()));
            set("destination", json!(envelope.destination.to_string()));
            set("ttl", json!(envelope.ttl));
            set("tos", json!(envelope.tos));
        }
        if let Some(vlan) = frame.vlan {
            set("vlan", json!(vlan));
        }
        set("version", json!(frame.version));
        set("len", json!(frame.length));
        set("checksum", json!(hex(&frame.checksum)));
        if frame.trailer != 0 {
            set("trailer", json!(frame.trailer));
        }
        if let Some(seal) = frame.seal {
            set("seal", json!(seal.to_string()));
        }
        if let Some(trailer) = &frame.pfplane {
            set("pfplane", trailer_value(trailer));
        }
    }

    fn region(&mut self, region: &RegionInfo) {
        let mut value = Map::new();
        value.insert("action".to_owned(), json!(region.action.name()));
        if let Some(number) = region.number {
            value.insert("number".to_owned(), json!(number));
        }
        if let Some(profile) = region.profile {
            value.insert("profile".to_owned(), json!(profile.name()));
        }
        value.insert("count".to_owned(), json!(region.count));
        value.insert("messages".to_owned(), json!([]));
        self.sections.push(Value::Object(value));
    }

    fn record(&mut self, region: &RegionInfo, record: &Record, invalid: Option<Invalid>) {
        let mut value = record_value(record, region.version);
        if let (Some(invalid), Some(fields)) = (invalid, value.as_object_mut()) {
            fields.insert("badval".to_owned(), json!(invalid.name()));
        }
        let messages = self.sections.last_mut().and_then(|last| last["messages"].as_array_mut());
        messages.into_iter().for_each(|messages| messages.push(value.take()));
    }

    fn fault(&mut self, fault: Fault) {
        self.faults.push(json!({"counter": fault.counter(), "text": fault.to_string()}));
    }

    fn end(&mut self) {
        let mut frame = std::mem::take(&mut self.frame);
        frame.insert("sections".to_owned(), Value::Array(std::mem::take(&mut self.sections)));
        if !self.faults.is_empty() {
            frame.insert("faults".to_owned(), Value::Array(std::mem::take(&mut self.faults)));
        }
        let _ = writeln!(self.out, "{}", Value::Object(frame));
    }
}
