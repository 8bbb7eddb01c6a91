//! The firewalls' journals: what each refused, and what the survivor knew when it took over.

use std::collections::BTreeMap;
use std::path::Path;

use pfplane_demo::clock::Nanos;
use pfplane_demo::failure::{Because, Outcome, fail};
use serde_json::Value;

use crate::forger::MARK;

/// Refused packets by reason.
pub type Reasons = BTreeMap<String, u64>;

/// A state that the survivor had when it took over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Had {
    /// Whether it is IPv6.
    pub v6: bool,
    /// The client's port.
    pub client_port: u16,
    /// The states of its sides.
    pub peer_state: [u64; 2],
}

impl Had {
    /// Whether both sides had opened and none had begun to close.
    pub fn is_open(&self) -> bool {
        const ESTABLISHED: u64 = 4;
        self.peer_state == [ESTABLISHED; 2]
    }
}

/// A true packet that the window check refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// When.
    pub at: Nanos,
    /// The sender: the client, 0, or the server, 1.
    pub side: usize,
    /// Whether it is IPv6.
    pub v6: bool,
    /// The client's port as the sender's side knows it.
    pub client_port: u16,
    /// Sequence number.
    pub seq: u32,
    /// The client's number in the state that refused it, which a peer had told of; zero in one that was made there.
    pub told_number: u32,
    /// As it was written down.
    pub line: String,
}

/// What journals say.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// True packets that were refused.
    pub good: Reasons,
    /// Forged ones.
    pub forged: Reasons,
    /// Those of the true ones that the window check refused.
    pub window: Vec<Refusal>,
    /// States at the takeover.
    pub had: Vec<Had>,
    /// Lanes that have told all their states at a takeover.
    pub lanes: u64,
}

impl Journal {
    /// Adds the journal at `path`. The last line of a killed firewall may be cut.
    pub fn add(&mut self, path: &Path) -> Outcome<()> {
        let text = std::fs::read_to_string(path).because(|| format!("read {}", path.display()))?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            let value: Value =
                serde_json::from_str(line).because(|| format!("read '{line}' in {}", path.display()))?;
            self.take(&value, line)?;
        }
        Ok(())
    }

    fn take(&mut self, value: &Value, line: &str) -> Outcome<()> {
        match value["what"].as_str() {
            Some("refused") => {
                let why = value["why"].as_str().unwrap_or("without a reason");
                let is_forged = value["tos"] == MARK;
                let reasons = if is_forged { &mut self.forged } else { &mut self.good };
                *reasons.entry(why.into()).or_default() += 1;
                if !is_forged && why == "window" {
                    let number = |name: &str| value[name].as_u64().unwrap_or_default();
                    let inside = value["from"] == "inside";
                    let port = number(if inside { "source_port" } else { "destination_port" });
                    self.window.push(Refusal {
                        at: number("now_ns"),
                        side: usize::from(!inside),
                        v6: value["source"].as_str().is_some_and(|address| address.contains(':')),
                        client_port: port as u16,
                        seq: number("seq") as u32,
                        told_number: told_number(&value["state"]),
                        line: line.into(),
                    });
                }
            }
            Some("had") => {
                let number = |value: &Value| value.as_u64().unwrap_or_default();
                let states = &value["state"]["peer_state"];
                self.had.push(Had {
                    v6: value["addresses"][0].as_str().is_some_and(|address| address.contains(':')),
                    // Slot 0 of a wire key is the inside host, and there the client is.
                    client_port: number(&value["ports"][0]) as u16,
                    peer_state: [number(&states[0]), number(&states[1])],
                });
            }
            Some("told_all") => self.lanes += 1,
            _ => return fail(format!("a journal says '{line}'")),
        }
        Ok(())
    }
}

/// The number of the side that opened, which is always the client.
fn told_number(state: &Value) -> u32 {
    let number = state["seqlo"][0].as_u64().filter(|_| state["imported"] == 1);
    number.unwrap_or_default() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart_by_mark_and_reason() {
        let mut journal = Journal::default();
        for (why, tos) in [("window", 0), ("window", 0xb4), ("reset", 0), ("window", 0xb4)] {
            let line = format!(r#"{{"what":"refused","why":"{why}","tos":{tos}}}"#);
            journal.take(&serde_json::from_str(&line).unwrap(), &line).unwrap();
        }
        assert_eq!(journal.good, Reasons::from([("window".into(), 1), ("reset".into(), 1)]));
        assert_eq!(journal.forged, Reasons::from([("window".into(), 2)]));
        assert_eq!(journal.window.len(), 1);
        assert!(journal.take(&Value::Null, "null").is_err());
    }

    #[test]
    fn of_a_state_that_a_peer_told_of_the_clients_number_is_read() {
        for (imported, number) in [(0, 0), (1, 77)] {
            let mut journal = Journal::default();
            let line = format!(
                r#"{{"what":"refused","why":"window","tos":0,"state":{{"imported":{imported},"seqlo":[77,88]}}}}"#
            );
            journal.take(&serde_json::from_str(&line).unwrap(), &line).unwrap();
            assert_eq!(journal.window[0].told_number, number);
        }
    }

    #[test]
    fn states_at_a_takeover_are_read() {
        let mut journal = Journal::default();
        let line = r#"{"what":"had","addresses":["fd00::1","fd00::2"],"ports":[4000,80],"state":{"peer_state":[4,4]}}"#;
        journal.take(&serde_json::from_str(line).unwrap(), line).unwrap();
        journal.take(&serde_json::from_str(r#"{"what":"told_all"}"#).unwrap(), "").unwrap();
        assert_eq!(journal.had, [Had { v6: true, client_port: 4000, peer_state: [4, 4] }]);
        assert!(journal.had[0].is_open());
        assert_eq!(journal.lanes, 1);
    }
}
