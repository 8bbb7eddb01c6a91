//! The copies: three sound ones, and one for each memory order or bound that the rings depend on.

use crate::texts::Text;

/// One copy.
pub(crate) struct Copy {
    /// Its module.
    pub name: &'static str,
    /// Capacity of the rings.
    pub capacity: usize,
    /// What is broken on purpose.
    weakening: Option<Weakening>,
}

/// Replaces `was` by something weaker, in `context`, which occurs once in the text.
struct Weakening {
    text: Text,
    context: &'static str,
    was: &'static str,
    becomes: &'static str,
}

const fn sound(name: &'static str, capacity: usize) -> Copy {
    Copy { name, capacity, weakening: None }
}

/// A copy with one relaxed memory order. Its rings have one slot, so that every order runs.
const fn relaxed(name: &'static str, text: Text, was: &'static str, context: &'static str) -> Copy {
    Copy { name, capacity: 1, weakening: Some(Weakening { text, context, was, becomes: "Relaxed" }) }
}

/// All of them.
pub(crate) const COPIES: &[Copy] = &[
    sound("one", 1),
    sound("two", 2),
    sound("three", 3),
    relaxed("push_relaxed", Text::Channel, "Release", "written.0.store(self.written, Ordering::Release)"),
    relaxed("pop_relaxed", Text::Channel, "Release", "read.0.store(self.read, Ordering::Release)"),
    relaxed(
        "push_sees_read_relaxed",
        Text::Channel,
        "Acquire",
        "self.read_seen = self.ring.read.0.load(Ordering::Acquire)",
    ),
    relaxed(
        "pop_sees_written_relaxed",
        Text::Channel,
        "Acquire",
        "self.written_seen = self.ring.written.0.load(Ordering::Acquire)",
    ),
    Copy {
        name: "never_full",
        capacity: 1,
        weakening: Some(Weakening {
            text: Text::Channel,
            context: "            if self.written.wrapping_sub(self.read_seen) == self.capacity {",
            was: "==",
            becomes: ">",
        }),
    },
    relaxed("bell_relaxed", Text::Aliases, "Release", "bell.fetch_add(1, Ordering::Release)"),
    relaxed("bell_seen_relaxed", Text::Aliases, "Acquire", "bell.load(Ordering::Acquire)"),
];

impl Copy {
    /// Weakens the text, if it is the one that is broken in this copy.
    pub(crate) fn weaken(&self, text: Text, words: String) -> Result<String, String> {
        match &self.weakening {
            Some(weakening) if weakening.text == text => {
                let Weakening { context, was, becomes, .. } = weakening;
                text.replace(&words, context, &context.replace(was, becomes))
            }
            _ => Ok(words),
        }
    }
}
