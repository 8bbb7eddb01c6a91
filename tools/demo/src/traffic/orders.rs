//! Orders on standard input, progress on standard output.

use std::io::{self, Write};

use super::report::Progress;

/// What the run can ask of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Begin to open connections.
    Open,
    /// A kill happens now: silences are counted apart from here on.
    Mark,
    /// End the traffic in order, write the report, leave.
    Stop,
    /// The run is gone: leave without a report.
    Leave,
}

/// Collects lines; standard input is read only when epoll says that it has something.
#[derive(Default)]
pub struct Orders {
    rest: Vec<u8>,
}

impl Orders {
    /// The orders that have come in full. The end of input is the order to leave.
    pub fn read(&mut self) -> io::Result<Vec<Order>> {
        let mut bytes = [0u8; 512];
        let count = rustix::io::read(io::stdin(), &mut bytes)?;
        if count == 0 {
            return Ok(vec![Order::Leave]);
        }
        self.rest.extend_from_slice(&bytes[..count]);
        let mut orders = Vec::new();
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            orders.extend(order_of(&line[..end]));
        }
        Ok(orders)
    }
}

fn order_of(line: &[u8]) -> Option<Order> {
    const WORDS: [(&[u8], Order); 3] =
        [(b"open", Order::Open), (b"mark", Order::Mark), (b"stop", Order::Stop)];
    WORDS.iter().find(|(word, _)| *word == line).map(|&(_, order)| order)
}

/// One line for the run. An error means that the run is gone.
pub fn say(progress: &Progress) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, progress)?;
    out.write_all(b"\n")?;
    out.flush()
}
