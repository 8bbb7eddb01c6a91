//! One line an action.

use std::io::Write;

use pfsync::{Invalid, Record};

use crate::filter::identity;
use crate::walk::{Fault, Head, Output, Section};
use crate::words;

/// Writes a line for each region, and one for each fault:
///
/// ```text
/// 12 1700000000.000123 192.0.2.1 > 224.0.0.240 v6 INS 2: 069193c1d4c4da2f/9f49b47d 069193c1d4c4da30/9f49b47d
/// ```
#[derive(Debug)]
pub struct Lines<W> {
    out: W,
    start: String,
    line: String,
    shown: usize,
}

/// Identities that a line shows before it says how many more there are.
const MOST: usize = 4;

impl<W: Write> Lines<W> {
    /// Writes to `out`; when that fails, what is left is not written.
    pub const fn new(out: W) -> Self {
        Self { out, start: String::new(), line: String::new(), shown: 0 }
    }

    fn flush_line(&mut self) {
        if self.shown > MOST {
            self.line.push_str(&format!(" and {} more", self.shown - MOST));
        }
        if !self.line.is_empty() {
            let _ = writeln!(self.out, "{}", self.line);
        }
        self.line.clear();
        self.shown = 0;
    }
}

/// Where a frame came from and went to, with its place in the capture.
#[must_use]
pub fn start(head: &Head) -> String {
    let mut start = format!("{} {}.{:06}", head.number, head.time.as_secs(), head.time.subsec_micros());
    if let Some(vlan) = head.vlan {
        start.push_str(&format!(" vlan {vlan}"));
    }
    if let Some(envelope) = &head.envelope {
        start.push_str(&format!(" {} > {}", words::ip(envelope.source), words::ip(envelope.destination)));
    }
    start
}

impl<W: Write> Output for Lines<W> {
    fn head(&mut self, head: &Head) {
        self.start = format!("{} v{}", start(head), head.version);
    }

    fn section(&mut self, section: &Section) {
        self.flush_line();
        self.line = format!("{} {} {}", self.start, section.action.name(), section.count);
    }

    fn record(&mut self, _: &Section, record: &Record, invalid: Option<Invalid>) {
        self.shown += 1;
        if self.shown > MOST {
            return;
        }
        self.line.push_str(if self.shown == 1 { ": " } else { " " });
        let text = match (record, identity(record)) {
            (Record::Clear(clear), _) => format!("{:08x} {}", clear.creator, words::text(&clear.ifname)),
            (Record::BulkStatus(status), _) => match status.status {
                1 => format!("{:08x} start", status.creator),
                2 => format!("{:08x} end", status.creator),
                other => format!("{:08x} status {other}", status.creator),
            },
            (Record::Tdb(tdb), _) => format!("spi 0x{:08x}", tdb.spi),
            (_, (Some(0), Some(0))) => "bulk".to_owned(),
            (_, (id, creator)) => {
                format!("{:016x}/{:08x}", id.unwrap_or_default(), creator.unwrap_or_default())
            }
        };
        self.line.push_str(text.trim_end());
        if let Some(invalid) = invalid {
            self.line.push_str(&format!(" [badval: {}]", invalid.name()));
        }
    }

    fn fault(&mut self, fault: Fault) {
        self.flush_line();
        let _ = writeln!(self.out, "{} [{fault}]", self.start);
    }

    fn end(&mut self) {
        self.flush_line();
    }
}
