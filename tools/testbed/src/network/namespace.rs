//! One network namespace.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command;
use crate::failure::{Context, Fallible};

/// A network namespace, by name. Dropping this does not delete it.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Names a namespace that exists or is yet to be created.
    pub fn named(name: impl Into<String>) -> Namespace {
        Namespace { name: name.into() }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Creates it.
    pub fn create(&self) -> Fallible<()> {
        command::run("ip", &["netns", "add", &self.name]).map(drop)
    }

    /// Deletes it.
    pub fn delete(&self) -> Fallible<()> {
        command::run("ip", &["netns", "del", &self.name]).map(drop)
    }

    /// Prepares a program to run inside. `ip netns exec` replaces itself, so the child process is the program.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a program inside to its end.
    pub fn run(&self, program: &[&str]) -> Fallible<String> {
        command::run("ip", &[&["netns", "exec", &self.name], program].concat())
    }

    /// Executes commands of `ip`, one per line.
    pub fn ip(&self, lines: &str) -> Fallible<()> {
        command::run_with_input("ip", &["-n", &self.name, "-batch", "-"], lines).map(drop)
    }

    /// Returns the index of an interface inside.
    pub fn interface_index(&self, interface: &str) -> Fallible<u32> {
        let line = command::run("ip", &["-n", &self.name, "-o", "link", "show", "dev", interface])?;
        let index = line.split(':').next().unwrap_or_default().trim();
        index.parse().context(|| format!("parse the index of {interface}, '{index}'"))
    }

    /// Sets kernel parameters, `name=value` each.
    pub fn set_sysctls(&self, settings: &[&str]) -> Fallible<()> {
        self.run(&[&["sysctl", "-q", "-w"], settings].concat()).map(drop)
    }

    /// Moves the calling thread inside, permanently.
    pub fn enter(&self) -> Fallible<()> {
        let path = Path::new("/run/netns").join(&self.name);
        let file = File::open(&path).context(|| format!("open {}", path.display()))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .context(|| format!("enter {}", path.display()))
    }

    /// Returns the processes inside.
    pub fn process_ids(&self) -> Fallible<Vec<i32>> {
        let list = command::run("ip", &["netns", "pids", &self.name])?;
        Ok(list.lines().filter_map(|line| line.trim().parse().ok()).collect())
    }
}
