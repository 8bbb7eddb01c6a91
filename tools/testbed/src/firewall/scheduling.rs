//! Who runs first where both firewalls share the processors of one machine. A dataplane has processors of its own, so all processes of
//! a demonstration may have real-time priority. A firewall that starts or ends is no dataplane then: it clears or frees hundreds of
//! megabytes at once, and would keep the processor from the one that forwards.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Child;

use crate::command;
use crate::failure::Fallible;

/// The column of a thread's scheduling policy in /proc/PID/stat (proc_pid_stat(5)), counted behind the name's parenthesis.
const POLICY_COLUMN: usize = 38;
/// SCHED_OTHER, as the kernel numbers it.
const NORMAL: &str = "0";

/// Returns a command line that runs a program as a normal process.
pub(super) fn command_line(program: &Path) -> Vec<&OsStr> {
    let wrapper: &[&str] = if is_real_time() { &["chrt", "--other", "0"] } else { &[] };
    wrapper.iter().map(OsStr::new).chain([program.as_os_str()]).collect()
}

/// Gives all threads of a firewall that is ready the priority of this process.
pub(super) fn run_first(process: &Child) -> Fallible<()> {
    set(process, "--rr", "1")
}

/// Takes it back from a firewall that is about to end, or has just ended.
pub(super) fn run_last(process: &Child) {
    // A thread that ends meanwhile makes this fail, and needs no priority any more.
    _ = set(process, "--other", "0");
}

fn set(process: &Child, policy: &str, priority: &str) -> Fallible<()> {
    if !is_real_time() {
        return Ok(());
    }
    command::run("chrt", &["--all-tasks", policy, "--pid", priority, &process.id().to_string()]).map(drop)
}

fn is_real_time() -> bool {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    policy_of(&stat).is_some_and(|policy| policy != NORMAL)
}

/// The name before the parenthesis may hold spaces and parentheses.
fn policy_of(stat: &str) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(POLICY_COLUMN)
}

#[cfg(test)]
mod tests {
    use super::policy_of;

    #[test]
    fn the_policy_is_column_41_whatever_the_name_is() {
        let columns = (3..=52).map(|column| column.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(policy_of(&format!("7 (a b) c) {columns}")), Some("41"));
        assert_eq!(policy_of(""), None);
    }
}
