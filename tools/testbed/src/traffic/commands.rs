//! Commands on standard input, progress on standard output.

use std::io::{self, Write};

use super::report::Progress;

/// A command of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start opening connections.
    Open,
    /// A kill follows: count later gaps separately.
    Mark,
    /// Close the connections, write the report and exit.
    Stop,
    /// The run has ended: exit without a report.
    Abandon,
}

/// Assembles lines of standard input, which is read only when epoll reports it.
#[derive(Default)]
pub struct CommandReader {
    rest: Vec<u8>,
}

impl CommandReader {
    /// Returns the complete commands. The end of input means [`Command::Abandon`].
    pub fn read(&mut self) -> io::Result<Vec<Command>> {
        let mut bytes = [0u8; 512];
        let count = rustix::io::read(io::stdin(), &mut bytes)?;
        if count == 0 {
            return Ok(vec![Command::Abandon]);
        }
        self.rest.extend_from_slice(&bytes[..count]);
        let mut commands = Vec::new();
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            commands.extend(parse(&line[..end]));
        }
        Ok(commands)
    }
}

fn parse(line: &[u8]) -> Option<Command> {
    match line {
        b"open" => Some(Command::Open),
        b"mark" => Some(Command::Mark),
        b"stop" => Some(Command::Stop),
        _ => None,
    }
}

/// Writes one line of progress. An error means that the run has ended.
pub fn print_progress(progress: &Progress) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, progress)?;
    out.write_all(b"\n")?;
    out.flush()
}
