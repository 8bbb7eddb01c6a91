//! Records frames with tcpdump: the whole sync link to a file, and what each firewall sends into the switch as times.

mod ports;
mod sync_link;
mod tcpdump;

pub use ports::{PortCapture, SentFrames};
pub use sync_link::{Capture, CaptureCheck, check};
