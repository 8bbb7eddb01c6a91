//! One JSON object a frame, one frame a line.

use std::io::Write;

use pfsync::{FullState, Invalid, Record, StateKey, StatePeer, Version};
use serde_json::{Map, Value, json};

use crate::walk::{Fault, Head, Output, Section};
use crate::words;

/// Writes JSON. Names are pf's; ids are hex digits, -1 is none, addresses are text.
#[derive(Debug)]
pub struct Json<W> {
    out: W,
    frame: Map<String, Value>,
    sections: Vec<Value>,
    faults: Vec<Value>,
}

impl<W: Write> Json<W> {
    /// Writes to `out`; when that fails, what is left is not written.
    pub fn new(out: W) -> Self {
        Self { out, frame: Map::new(), sections: Vec::new(), faults: Vec::new() }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn none(number: u32) -> Value {
    if number == u32::MAX { json!(-1) } else { json!(number) }
}

fn key(key: &StateKey, version: u8) -> Value {
    let version = if version == Version::V5 as u8 { Version::V5 } else { Version::V6 };
    let address = |slot: usize| words::address(&key.addr[slot], key.family);
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

/// A whole state. `rt` is a word, as its numbers differ between the systems.
fn state(state: &FullState, version: u8) -> Value {
    let rt_addr = (state.rt_addr != [0; 16]).then(|| words::address(&state.rt_addr, state.key[0].family));
    json!({
        "id": format!("{:016x}", state.id.id),
        "creatorid": format!("{:08x}", state.id.creator),
        "ifname": words::text(&state.ifname),
        "direction": state.direction,
        "wire": key(&state.key[0], version),
        "stack": key(&state.key[1], version),
        "src": peer(&state.src),
        "dst": peer(&state.dst),
        "rt": words::route(state.rt),
        "rt_addr": rt_addr,
        "rt_ifname": words::text(&state.rt_ifname),
        "orig_ifname": words::text(&state.orig_ifname),
        "tag": words::text(&state.tagname),
        "rule": none(state.rule),
        "anchor": none(state.anchor),
        "nat_rule": none(state.nat_rule),
        "packets": state.packets,
        "bytes": state.bytes,
        "age": state.creation,
        "expires_in": state.expire,
        "timeout": state.timeout,
        "timeout_name": words::timeout(state.timeout),
        "state_flags": state.state_flags,
        "flags": words::flags(state.state_flags),
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
            "timeout_name": words::timeout(update.timeout),
        }),
        Record::Id(id) => {
            json!({"id": format!("{:016x}", id.id), "creatorid": format!("{:08x}", id.creator)})
        }
        Record::Clear(clear) => {
            json!({"ifname": words::text(&clear.ifname), "creatorid": format!("{:08x}", clear.creator)})
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

impl<W: Write> Output for Json<W> {
    fn head(&mut self, head: &Head) {
        self.sections.clear();
        self.faults.clear();
        self.frame.clear();
        let time = format!("{}.{:06}", head.time.as_secs(), head.time.subsec_micros());
        let mut set = |name: &str, value: Value| self.frame.insert(name.to_owned(), value);
        set("n", json!(head.number));
        set("time", json!(time));
        if let Some(envelope) = &head.envelope {
            set("source", json!(words::ip(envelope.source)));
            set("destination", json!(words::ip(envelope.destination)));
            set("ttl", json!(envelope.ttl));
            set("tos", json!(envelope.tos));
        }
        if let Some(vlan) = head.vlan {
            set("vlan", json!(vlan));
        }
        set("version", json!(head.version));
        set("len", json!(head.length));
        set("checksum", json!(hex(&head.checksum)));
        if head.trailer != 0 {
            set("trailer", json!(head.trailer));
        }
    }

    fn section(&mut self, section: &Section) {
        let mut value = Map::new();
        value.insert("action".to_owned(), json!(section.action.name()));
        if let Some(number) = section.number {
            value.insert("number".to_owned(), json!(number));
        }
        if let Some(profile) = section.profile {
            value.insert("profile".to_owned(), json!(profile.name()));
        }
        value.insert("count".to_owned(), json!(section.count));
        value.insert("messages".to_owned(), json!([]));
        self.sections.push(Value::Object(value));
    }

    fn record(&mut self, section: &Section, record: &Record, invalid: Option<Invalid>) {
        let mut value = record_value(record, section.version);
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
