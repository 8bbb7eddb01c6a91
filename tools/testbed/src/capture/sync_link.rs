//! Records the sync link at firewall B, both directions, and checks the recording.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::tcpdump::Tcpdump;
use crate::failure::Fallible;
use crate::network::{Host, Network};

const CHECKER: &str = "tools/check-capture.py";
/// The checker's exit status for a file without a pfsync frame.
const NO_FRAMES: i32 = 2;

/// A running recording.
pub struct Capture {
    tcpdump: Tcpdump,
    file: PathBuf,
}

impl Capture {
    /// Starts tcpdump and waits until it records.
    pub fn start(network: &Network, out: &Path) -> Fallible<Capture> {
        let file = out.join("sync.pcap");
        let options = ["-i", "sync", "-s", "0", "-U", "-B", "16384"];
        let tcpdump = Tcpdump::start(&network.namespace(Host::FirewallB), &options, &file)?;
        Ok(Capture { tcpdump, file })
    }

    /// Stops tcpdump and returns the complete file.
    pub fn finish(self) -> Fallible<PathBuf> {
        self.tcpdump.finish()?;
        Ok(self.file)
    }
}

/// The checker's result for a capture.
pub struct CaptureCheck {
    /// Whether every frame is well formed.
    pub well_formed: bool,
    /// Whether the file holds no pfsync frame.
    pub empty: bool,
    /// The checker's output.
    pub text: String,
}

/// Runs the checker, which shares no code with the library. Returns `None` when it or Python is not available.
pub fn check(file: &Path) -> Option<CaptureCheck> {
    if !Path::new(CHECKER).is_file() {
        return None;
    }
    let output = Command::new("python3").arg(CHECKER).arg(file).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let empty = output.status.code() == Some(NO_FRAMES);
    Some(CaptureCheck { well_formed: output.status.success() || empty, empty, text })
}
