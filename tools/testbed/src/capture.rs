//! Records the sync link at firewall B, both directions, and checks the recording.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{Context, Fallible, fail};
use crate::network::{Host, Network};

const CHECKER: &str = "tools/check-capture.py";
/// The checker's exit status for a file without a pfsync frame.
const NO_FRAMES: i32 = 2;

/// A running tcpdump.
pub struct Capture {
    process: Child,
    file: PathBuf,
}

impl Capture {
    /// Starts tcpdump and waits until it records.
    pub fn start(network: &Network, out: &Path) -> Fallible<Capture> {
        let file = out.join("sync.pcap");
        let mut process = network
            .namespace(Host::FirewallB)
            .command("tcpdump")
            .args(["-i", "sync", "-n", "-s", "0", "-U", "-B", "16384", "-Z", "root", "-w"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context(|| "start tcpdump")?;
        let mut output = String::new();
        if let Some(errors) = process.stderr.take() {
            let mut lines = BufReader::new(errors);
            while !output.contains("listening on") {
                if lines.read_line(&mut output).context(|| "read tcpdump's output")? == 0 {
                    return fail(format!("tcpdump does not record: {}", output.trim()));
                }
            }
        }
        Ok(Capture { process, file })
    }

    /// Stops tcpdump and returns the complete file.
    pub fn finish(mut self) -> Fallible<PathBuf> {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::TERM).context(|| "stop tcpdump")?;
        self.process.wait().context(|| "wait for tcpdump")?;
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
