//! conntrackd for comparison: two daemons replicate the kernel's connection tracking of one namespace to another over the same
//! veth pair, in the mode with retransmission (FTFW).
//!
//! The first kernel routes the connections' packets. Only the daemons' processor time is measured, without the kernels' for
//! packets and tracking; pfplane's measurement excludes these too.

use super::SETTLE;
use super::kernel;
use super::pair::{INTERFACE, Pair};
use pfplane_testbed::command;
use pfplane_testbed::failure::{Context, Fallible};
use std::io::Result;
use std::process::{Child, Stdio};
use std::time::Duration;

/// The time for the two daemons to connect.
const START: Duration = Duration::from_secs(3);

/// The measurement.
pub(crate) struct Replicated {
    /// Processor seconds of the sending daemon.
    pub sender_cpu_s: f64,
    /// Processor seconds of the receiving daemon.
    pub receiver_cpu_s: f64,
    /// Connections in the receiving daemon's cache.
    pub received: u32,
}

/// Returns why conntrackd cannot run here.
pub(crate) fn missing_program() -> Option<String> {
    let missing = ["conntrackd", "nft"].into_iter().find(|program| !command::exists(program))?;
    Some(format!("{missing} is not installed; apt-get install conntrackd nftables"))
}

/// A running daemon.
struct Daemon {
    child: Child,
    settings: std::path::PathBuf,
}

impl Daemon {
    fn start(pair: &Pair, n: u8, connections: u32) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("pfp-conntrackd-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let settings = folder.join("conntrackd.conf");
        std::fs::write(&settings, settings_of(&folder.display().to_string(), n, connections))?;
        let mut command = pair.end(n).command("conntrackd");
        command.arg("-C").arg(&settings).stdout(Stdio::null()).stderr(Stdio::inherit());
        Ok(Self { child: command.spawn()?, settings })
    }

    /// Returns the processor seconds so far.
    fn cpu_s(&self) -> Result<f64> {
        const TICKS_PER_SECOND: f64 = 100.0;
        // `ip netns exec` replaces itself with the daemon.
        let line = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = line.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<f64>().ok()).unwrap_or(f64::NAN);
        Ok((ticks(11) + ticks(12)) / TICKS_PER_SECOND)
    }

    /// Returns the number of connections that it received from the other node.
    fn foreign(&self, pair: &Pair, n: u8) -> Result<u32> {
        let mut command = pair.end(n).command("conntrackd");
        let output = command.arg("-C").arg(&self.settings).arg("-s").stderr(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let external = text.split("cache external:").nth(1).unwrap_or_default();
        let line = external.lines().find(|line| line.contains("current active connections"));
        Ok(line.and_then(|line| line.split_whitespace().last()?.parse().ok()).unwrap_or(0))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = (self.child.kill(), self.child.wait());
        if let Some(folder) = self.settings.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

fn settings_of(folder: &str, n: u8, connections: u32) -> String {
    let (other, limit) = (3 - n, connections * 2);
    format!(
        "Sync {{
  Mode FTFW {{ }}
  UDP {{
    IPv4_address 192.0.2.{n}
    IPv4_Destination_Address 192.0.2.{other}
    Port 3780
    Interface {INTERFACE}
    SndSocketBuffer 16777216
    RcvSocketBuffer 16777216
    Checksum on
  }}
}}
General {{
  HashSize {connections}
  HashLimit {limit}
  LogFile off
  Syslog off
  LockFile {folder}/lock
  UNIX {{ Path {folder}/control }}
  NetlinkBufferSize 16777216
  NetlinkBufferSizeMaxGrowth 67108864
  Filter From Userspace {{
    Protocol Accept {{ TCP }}
    Address Ignore {{ IPv4_address 192.0.2.1 IPv4_address 192.0.2.2 }}
  }}
}}
"
    )
}

/// Replicates `connections` connections, `rate` new ones per second.
pub(crate) fn replicate(connections: u32, rate: u32) -> Fallible<Replicated> {
    let action = || "run conntrackd".to_owned();
    let pair = Pair::new(1500)?;
    kernel::configure(&pair)?;
    let receiver = Daemon::start(&pair, 2, connections).context(action)?;
    let sender = Daemon::start(&pair, 1, connections).context(action)?;
    std::thread::sleep(START);
    let before = [sender.cpu_s().context(action)?, receiver.cpu_s().context(action)?];
    kernel::send_connections(&pair, connections, rate)?;
    std::thread::sleep(SETTLE);
    let (sender_cpu_s, receiver_cpu_s) =
        (sender.cpu_s().context(action)? - before[0], receiver.cpu_s().context(action)? - before[1]);
    let received = receiver.foreign(&pair, 2).context(action)?;
    Ok(Replicated { sender_cpu_s, receiver_cpu_s, received })
}
