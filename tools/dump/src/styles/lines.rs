//! One line a region.

use std::io::Write;

use pfsync::{Invalid, Record};

use super::frame_prefix;
use crate::report::{Fault, FrameInfo, Output, RegionInfo};

/// Writes a line for each region, for each fault, and for each frame that is encrypted and not readable:
///
/// ```text
/// 12 1700000000.000123 192.0.2.1 > 224.0.0.240 v6 INS 2: 069193c1d4c4da2f/9f49b47d 069193c1d4c4da30/9f49b47d
/// ```
#[derive(Debug)]
pub struct Lines<W> {
    out: W,
    prefix: String,
    line: String,
    records: usize,
}

/// Maximum number of records that a line shows.
const MAX_SHOWN: usize = 4;

impl<W: Write> Lines<W> {
    /// Writes to `out`. Write errors end the output silently.
    pub const fn new(out: W) -> Self {
        Self { out, prefix: String::new(), line: String::new(), records: 0 }
    }

    fn flush_line(&mut self) {
        if self.records > MAX_SHOWN {
            self.line.push_str(&format!(" and {} more", self.records - MAX_SHOWN));
        }
        if !self.line.is_empty() {
            let _ = writeln!(self.out, "{}", self.line);
        }
        self.line.clear();
        self.records = 0;
    }
}

impl<W: Write> Output for Lines<W> {
    fn frame(&mut self, frame: &FrameInfo) {
        self.prefix = format!("{} v{}", frame_prefix(frame), frame.version);
        if let Some(seal) = frame.seal {
            self.prefix = format!("{} {seal}", self.prefix);
            if !seal.is_readable() {
                self.line.clone_from(&self.prefix);
            }
        }
    }

    fn region(&mut self, region: &RegionInfo) {
        self.flush_line();
        self.line = format!("{} {} {}", self.prefix, region.action, region.count);
    }

    fn record(&mut self, _: &RegionInfo, record: &Record, invalid: Option<Invalid>) {
        self.records += 1;
        if self.records > MAX_SHOWN {
            return;
        }
        let separator = if self.records == 1 { ": " } else { " " };
        self.line.push_str(&format!("{separator}{record}"));
        if let Some(invalid) = invalid {
            self.line.push_str(&format!(" [badval: {}]", invalid.name()));
        }
    }

    fn fault(&mut self, fault: Fault) {
        self.flush_line();
        let _ = writeln!(self.out, "{} [{fault}]", self.prefix);
    }

    fn end(&mut self) {
        self.flush_line();
    }
}
