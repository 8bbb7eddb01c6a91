//! The output styles.

mod json;
mod lines;
mod stats;
mod verbose;

pub use json::Json;
pub use lines::Lines;
pub use stats::Stats;
pub use verbose::{Verbose, state_lines};

use crate::report::FrameInfo;

/// Returns the start of a frame's line: its number, time, VLAN and addresses.
fn frame_prefix(frame: &FrameInfo) -> String {
    let mut prefix = format!("{} {}.{:06}", frame.number, frame.time.as_secs(), frame.time.subsec_micros());
    if let Some(vlan) = frame.vlan {
        prefix.push_str(&format!(" vlan {vlan}"));
    }
    if let Some(envelope) = &frame.envelope {
        prefix.push_str(&format!(" {} > {}", envelope.source, envelope.destination));
    }
    prefix
}
