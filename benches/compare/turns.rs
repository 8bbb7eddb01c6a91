//! Runs two builds of a bench side by side: one works while the other is stopped, in short slices. So both meet the same
//! noise, and neither runs beside the other.

use crate::arguments::Arguments;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Short beside the changes of a shared machine's load, long beside a block of a bench, which takes about 0.1 ms. The
/// median block of a turn is not one of the few that a slice interrupts.
const SLICE: Duration = Duration::from_millis(40);

/// A running bench. Dropping it ends it.
struct Bench {
    child: Child,
    program: PathBuf,
}

impl Bench {
    fn start(program: &Path, results: &Path, options: &[String]) -> Result<Self, String> {
        let output = format!("--json={}", results.display());
        let child = Command::new(program)
            .arg("--bench")
            .arg(output)
            .args(options)
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        Ok(Self { child, program: program.to_owned() })
    }

    /// Returns whether it still runs. Fails if it ended with an error.
    fn is_running(&mut self) -> Result<bool, String> {
        match self.child.try_wait() {
            Ok(None) => Ok(true),
            Ok(Some(status)) if status.success() => Ok(false),
            Ok(Some(status)) => Err(format!("{} ended with {status}", self.program.display())),
            Err(error) => Err(format!("cannot wait for {}: {error}", self.program.display())),
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).map_err(|error| format!("cannot stop or continue a bench: {error}"))
    }

    /// Lets it work for a slice. Returns whether it still runs.
    fn work(&mut self) -> Result<bool, String> {
        if !self.is_running()? {
            return Ok(false);
        }
        self.signal(Signal::CONT)?;
        std::thread::sleep(SLICE);
        if !self.is_running()? {
            return Ok(false);
        }
        self.signal(Signal::STOP)?;
        Ok(true)
    }

    fn wait(&mut self) -> Result<(), String> {
        while self.is_running()? {
            std::thread::sleep(SLICE);
        }
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Runs both builds once. Returns their results, the older build's first. The builds take turns in starting first.
pub(crate) fn run(arguments: &Arguments, run: usize) -> Result<[Value; 2], String> {
    std::fs::create_dir_all(&arguments.folder)
        .map_err(|error| format!("cannot create {}: {error}", arguments.folder.display()))?;
    let results = ["before.json", "after.json"].map(|name| arguments.folder.join(name));
    let start = |index: usize| Bench::start(&arguments.programs[index], &results[index], &arguments.options);
    let order = [run % 2, 1 - run % 2];
    if arguments.whole {
        for index in order {
            start(index)?.wait()?;
        }
    } else {
        use_one_processor();
        let [first, second] = order.map(start);
        let (mut first, mut second) = (first?, second?);
        second.signal(Signal::STOP)?;
        // Both work in every turn until both are done.
        while first.work()? | second.work()? {}
    }
    let [before, after] = results.map(|path| read(&path));
    Ok([before?, after?])
}

/// Pins this process, and so both benches, to the last processor that it may use.
fn use_one_processor() {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let mut one = CpuSet::new();
    if let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|&cpu| allowed.is_set(cpu)) {
        one.set(last);
        // Unpinned results are noisier, not wrong.
        _ = sched_setaffinity(None, &one);
    }
}

fn read(path: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the bench wrote no results to {}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{} is not JSON: {error}", path.display()))
}
