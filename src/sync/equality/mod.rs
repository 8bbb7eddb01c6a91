//! Whether two pfplane nodes hold the same states, and which of them differ.
//!
//! ```text
//! teller, each lane                                hearer
//! sent: a mark for each state sent to a peer       taken: a mark for each state, which lane of which node sent it
//! ROOT: sum of the sent states, at a frame ------> the sum of the taken ones, asked of all lanes behind that frame's messages
//!                                    if they differ:
//!       builds a sketch <------------------------- SKETCH; builds one too
//! CELLS: as of a frame --------------------------> frozen behind that frame's messages; the difference of both is peeled
//! tells them again <------------------------------ WANT: states that only the teller has
//! tells them, or GONE <--------------------------- DOUBT: states that only the hearer has; it ends those that are GONE
//! ```
//!
//! A cut is a number of a stream: what the teller had sent by then, and what the hearer had made of it. Under traffic a few states
//! differ at any cut: the hearer ended them, and its deletes are in flight. So a difference counts once it is in the sketches
//! of [`MIN_AGE`] and longer. What is younger does not speak against equality as of the cut before.
//!
//! A state is compared by its identity. What changes in it is up to frame numbers and repairs, and grows with each update.

mod builder;
mod cells;
mod compare;
mod finder;
mod lane;
mod marks;
mod round;
mod sources;
mod status;
#[cfg(test)]
mod tests;

pub(in crate::sync) use compare::Comparer;
#[cfg(test)]
pub(in crate::sync) use compare::ComparisonCounts;
pub(in crate::sync) use finder::Finder;
pub(in crate::sync) use lane::LaneComparison;
pub use status::Equality;

use crate::state::StateId;
use crate::time::Nanos;
use pfsync::{CellRun, Elements, element_of};

/// Interval between two sums of a stream.
pub(in crate::sync) const ROOT_INTERVAL: Nanos = 500_000_000;
/// A difference younger than this may be a message in flight.
const MIN_AGE: Nanos = 700_000_000;
/// Sizes of a sketch. Half as many differences are found nearly always; with more, the next size is tried.
const SIZES: [u16; 3] = [64, 512, 4096];
const MAX_CELLS: usize = SIZES[SIZES.len() - 1] as usize;
/// More differences are none of a sketch: all states are requested.
const MAX_DIFFERENCES: usize = MAX_CELLS / 2;
/// Slots that a lane examines in one call.
const SLOTS_PER_CALL: u32 = 4096;

/// The stream that carried a message, as the hearer numbers the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    source: u8,
    lane: u8,
    /// Differs for each run of the node.
    generation: u16,
}

impl Origin {
    /// Of a node that is not compared.
    pub const NONE: Self = Self { source: u8::MAX, lane: 0, generation: 0 };
}

/// What the sync lane asks of each lane.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    number: u32,
    origin: Origin,
    ask: Ask,
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    /// The sum of the states taken from a stream.
    Total,
    /// To build a sketch of them.
    Build(u16),
    /// To stop here, and return the cells.
    Freeze,
    /// Which states these elements stand for.
    Doubt(Elements),
}

/// What a lane tells the sync lane.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// The sum.
    Total {
        /// The number of the question.
        number: u32,
        /// The sum.
        total: Total,
    },
    /// The sketch is complete.
    Built {
        /// The number of the question.
        number: u32,
    },
    /// A part of the sketch.
    Cells {
        /// The number of the question.
        number: u32,
        /// The cells.
        run: CellRun,
    },
    /// There is no such sketch any more.
    NotBuilt {
        /// The number of the question.
        number: u32,
    },
    /// The lane has a state that its teller does not have.
    Doubt {
        /// The stream.
        origin: Origin,
        /// The state.
        id: StateId,
    },
    /// The lane cannot hold a state.
    Refused {
        /// The stream.
        origin: Origin,
        /// The state.
        id: StateId,
        /// Why.
        reason: u8,
    },
}

/// A set of states as a sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    pub(in crate::sync) sum: u64,
    pub(in crate::sync) states: u32,
}

impl Total {
    const fn add(&mut self, element: u64) {
        self.sum = self.sum.wrapping_add(element);
        self.states = self.states.wrapping_add(1);
    }

    const fn subtract(&mut self, element: u64) {
        self.sum = self.sum.wrapping_sub(element);
        self.states = self.states.wrapping_sub(1);
    }

    const fn add_all(&mut self, other: Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.states = self.states.wrapping_add(other.states);
    }
}

const fn element(id: StateId) -> u64 {
    element_of(pfsync::Identity { id: id.id, creator: id.creator })
}
