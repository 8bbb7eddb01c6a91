//! The firewalls' event logs: the packets each refused, and the survivor's states at the takeover.

use std::collections::BTreeMap;
use std::path::Path;

use pfplane_testbed::clock::Nanos;
use pfplane_testbed::failure::{Context, Fallible, fail};
use serde_json::Value;

use crate::cable::forger::MARK;

/// Refused packets by reason.
pub(crate) type Reasons = BTreeMap<String, u64>;

/// A state that the survivor had at the takeover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownState {
    pub v6: bool,
    pub client_port: u16,
    /// The states of the two sides.
    pub peer_state: [u64; 2],
}

impl KnownState {
    /// Whether both sides are established and neither has closed.
    pub(crate) fn is_open(&self) -> bool {
        const ESTABLISHED: u64 = 4;
        self.peer_state == [ESTABLISHED; 2]
    }
}

/// A genuine packet that the window check refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub time: Nanos,
    /// The sender: the client, 0, or the server, 1.
    pub side: usize,
    pub v6: bool,
    /// The client's port on the sender's side.
    pub client_port: u16,
    pub seq: u32,
    /// The client's sequence number in the state, if that came from the peer; else zero.
    pub imported_seq: u32,
    /// The line of the log.
    pub line: String,
}

/// The contents of event logs.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventLog {
    /// Refused genuine packets.
    pub genuine: Reasons,
    /// Refused forged packets.
    pub forged: Reasons,
    /// The genuine packets that the window check refused.
    pub window: Vec<Refusal>,
    /// The states at the takeover.
    pub known_states: Vec<KnownState>,
    /// Lanes that have logged all their states at the takeover.
    pub lanes_taken_over: u64,
}

impl EventLog {
    /// Adds the log at `path`, except an incomplete last line of a killed firewall.
    pub(crate) fn add(&mut self, path: &Path) -> Fallible<()> {
        let text = std::fs::read_to_string(path).context(|| format!("read {}", path.display()))?;
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in complete.lines() {
            let value: Value =
                serde_json::from_str(line).context(|| format!("parse '{line}' in {}", path.display()))?;
            self.add_event(&value, line)?;
        }
        Ok(())
    }

    fn add_event(&mut self, value: &Value, line: &str) -> Fallible<()> {
        match value["event"].as_str() {
            Some("refused") => self.add_refusal(value, line),
            Some("state_at_takeover") => {
                let number = |value: &Value| value.as_u64().unwrap_or_default();
                let states = &value["state"]["peer_state"];
                self.known_states.push(KnownState {
                    v6: is_v6(&value["addresses"][0]),
                    // Side 0 of the wire key is the inside host, here the client.
                    client_port: number(&value["ports"][0]) as u16,
                    peer_state: [number(&states[0]), number(&states[1])],
                });
            }
            Some("takeover_logged") => self.lanes_taken_over += 1,
            _ => return fail(format!("unknown event '{line}'")),
        }
        Ok(())
    }

    fn add_refusal(&mut self, value: &Value, line: &str) {
        let reason = value["reason"].as_str().unwrap_or("none");
        let is_forged = value["tos"] == MARK;
        let reasons = if is_forged { &mut self.forged } else { &mut self.genuine };
        *reasons.entry(reason.into()).or_default() += 1;
        if is_forged || reason != "window" {
            return;
        }
        let number = |name: &str| value[name].as_u64().unwrap_or_default();
        let from_inside = value["from"] == "inside";
        let port = number(if from_inside { "source_port" } else { "destination_port" });
        self.window.push(Refusal {
            time: number("now_ns"),
            side: usize::from(!from_inside),
            v6: is_v6(&value["source"]),
            client_port: port as u16,
            seq: number("seq") as u32,
            imported_seq: imported_seq(&value["state"]),
            line: line.into(),
        });
    }
}

fn is_v6(address: &Value) -> bool {
    address.as_str().is_some_and(|address| address.contains(':'))
}

/// Returns the sequence number of the opening side, which is always the client.
fn imported_seq(state: &Value) -> u32 {
    let number = state["seqlo"][0].as_u64().filter(|_| state["imported"] == 1);
    number.unwrap_or_default() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(log: &mut EventLog, line: &str) {
        log.add_event(&serde_json::from_str(line).unwrap(), line).unwrap();
    }

    #[test]
    fn refusals_are_counted_by_mark_and_reason() {
        let mut log = EventLog::default();
        for (reason, tos) in [("window", 0), ("window", 0xb4), ("reset", 0), ("window", 0xb4)] {
            add(&mut log, &format!(r#"{{"event":"refused","reason":"{reason}","tos":{tos}}}"#));
        }
        assert_eq!(log.genuine, Reasons::from([("window".into(), 1), ("reset".into(), 1)]));
        assert_eq!(log.forged, Reasons::from([("window".into(), 2)]));
        assert_eq!(log.window.len(), 1);
        assert!(log.add_event(&Value::Null, "null").is_err());
    }

    #[test]
    fn the_clients_number_is_read_from_an_imported_state_only() {
        for (imported, number) in [(0, 0), (1, 77)] {
            let mut log = EventLog::default();
            let state = format!(r#"{{"imported":{imported},"seqlo":[77,88]}}"#);
            add(&mut log, &format!(r#"{{"event":"refused","reason":"window","tos":0,"state":{state}}}"#));
            assert_eq!(log.window[0].imported_seq, number);
        }
    }

    #[test]
    fn states_at_a_takeover_are_read() {
        let mut log = EventLog::default();
        add(
            &mut log,
            r#"{"event":"state_at_takeover","addresses":["fd00::1","fd00::2"],"ports":[4000,80],"state":{"peer_state":[4,4]}}"#,
        );
        add(&mut log, r#"{"event":"takeover_logged"}"#);
        assert_eq!(log.known_states, [KnownState { v6: true, client_port: 4000, peer_state: [4, 4] }]);
        assert!(log.known_states[0].is_open());
        assert_eq!(log.lanes_taken_over, 1);
    }
}
