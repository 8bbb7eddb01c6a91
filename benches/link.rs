//! Replication over a veth pair: two processes with `AF_PACKET` sockets, each in its own network namespace. Measures bulk
//! transfers and new connections, and conntrackd with the same connections.
//!
//! `./x bench link`, as root; see `benches/README.md`. It skips what the machine cannot run.

#[expect(dead_code, reason = "other benches use more of it")]
mod harness;
#[expect(dead_code, reason = "other benches use more of it")]
mod replication;
mod veth;

use harness::options::Options;
use harness::report::Report;
use veth::conntrackd;
use veth::node::{self, Task};
use veth::pair::Pair;

#[global_allocator]
static PAGES: harness::pages::HugePages = harness::pages::HugePages;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(task) = Task::from_arguments() {
        return node::run(&task);
    }
    let options = Options::from_arguments("link");
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: replication over a real link needs root, for its network namespaces");
        return Ok(());
    }
    let mut report = Report::new("link");
    let states = match &options.sizes {
        Some(sizes) => sizes[0],
        None if options.smoke => 2000,
        None => 1_000_000,
    };
    for (mtu, bulk_frames, pfplane) in
        [(1500, 8, 0), (1500, 64, 0), (9000, 16, 0), (1500, 8, 1), (9000, 8, 1)]
    {
        let task = Task { states, mtu, bulk_frames, pfplane, ..Task::default() };
        transfer(&task, &options, &mut report)?;
    }
    let (connections, rate) = if options.smoke { (1000, 10_000) } else { (100_000, 20_000) };
    let name = format!("{connections} connections open and end, {rate} a second");
    if options.wants(&name) {
        let ours = new_connections(&name, connections, rate, &mut report)?;
        if !options.smoke {
            compare_with_conntrackd(&name, connections, rate, ours, &mut report)?;
        }
    }
    if options.smoke { Ok(()) } else { Ok(report.write(&options.json)?) }
}

/// Measures a bulk transfer to an empty node.
fn transfer(task: &Task, options: &Options, report: &mut Report) -> Result<(), Box<dyn std::error::Error>> {
    let Task { states, mtu, bulk_frames, pfplane, .. } = *task;
    let pace = match pfplane {
        0 => format!("at most {bulk_frames} frames a millisecond"),
        _ => format!("between pfplane nodes, {bulk_frames} frames a millisecond configured"),
    };
    let name = format!("all of {states} states over a veth pair, MTU {mtu}, {pace}");
    if !options.wants(&name) {
        return Ok(());
    }
    let pair = Pair::new(mtu)?;
    let mut full = pair.node(1, &Task { fill: states, ..*task })?;
    full.wait_for("filled")?;
    full.send("go")?;
    let mut empty = pair.node(2, task)?;
    empty.send("go")?;
    let received = empty.wait_for("ready")?;
    let sent = full.end()?;
    let seconds = received["seconds"].as_f64().unwrap_or(f64::NAN);
    for (end, of) in [("sender", &sent), ("receiver", &received)] {
        let share = of["cpu_s"].as_f64().unwrap_or(f64::NAN) / seconds;
        report.fact(format!("{name}: {end}'s share of a core"), share);
    }
    report.fact(format!("{name}: states received"), received["loaded"].clone());
    report.fact(format!("{name}: seconds"), seconds);
    report.fact(format!("{name}: frames"), sent["frames"].clone());
    report.fact(format!("{name}: megabytes"), sent["bytes"].as_u64().unwrap_or(0) / 1_000_000);
    Ok(())
}

/// Returns the CPU seconds of both ends for these connections, without the sender's work on their packets.
fn new_connections(
    name: &str,
    connections: u32,
    rate: u32,
    report: &mut Report,
) -> Result<f64, Box<dyn std::error::Error>> {
    let pair = Pair::new(1500)?;
    let task = Task { states: connections, mtu: 1500, bulk_frames: 8, ..Task::default() };
    let mut receiver = pair.node(2, &task)?;
    let mut sender = pair.node(1, &Task { create: connections, rate, ..task })?;
    for node in [&mut receiver, &mut sender] {
        node.wait_for("ready")?;
        node.send("go")?;
    }
    sender.wait_for("sent")?;
    std::thread::sleep(veth::SETTLE);
    let (sent, received) = (sender.end()?, receiver.end()?);
    let cpu = |of: &serde_json::Value| of["cpu_s"].as_f64().unwrap_or(f64::NAN);
    report.fact(format!("{name}: pfplane, CPU seconds of the sender"), cpu(&sent));
    report.fact(format!("{name}: pfplane, CPU seconds of the receiver"), cpu(&received));
    report.fact(format!("{name}: pfplane, connections received"), received["states"].clone());
    report.fact(format!("{name}: pfplane, frames"), sent["frames"].clone());
    Ok(cpu(&sent) + cpu(&received))
}

fn compare_with_conntrackd(
    name: &str,
    connections: u32,
    rate: u32,
    ours: f64,
    report: &mut Report,
) -> Result<(), Box<dyn std::error::Error>> {
    if let Some(why) = conntrackd::missing_program() {
        println!("SKIPPED: the comparison with conntrackd: {why}");
        return Ok(());
    }
    let theirs = conntrackd::replicate(connections, rate)?;
    report.fact(format!("{name}: conntrackd (FTFW), CPU seconds of the sender"), theirs.sender_cpu_s);
    report.fact(format!("{name}: conntrackd (FTFW), CPU seconds of the receiver"), theirs.receiver_cpu_s);
    report.fact(format!("{name}: conntrackd (FTFW), connections received"), theirs.received);
    let ratio = (theirs.sender_cpu_s + theirs.receiver_cpu_s) / ours;
    report.fact(format!("{name}: conntrackd's CPU over pfplane's"), ratio);
    Ok(())
}
