//! The copies: three that are sound, and one for each order or bound that the rings cannot do without.

use crate::texts::Text;

/// One copy.
pub struct Copy {
    /// Its module.
    pub name: &'static str,
    /// Messages that a ring holds.
    pub capacity: usize,
    /// What is broken on purpose.
    weakening: Option<Weakening>,
}

/// At `place` of the text is what `was`, and it becomes something worse.
struct Weakening {
    text: Text,
    place: &'static str,
    was: &'static str,
    becomes: &'static str,
}

const fn sound(name: &'static str, capacity: usize) -> Copy {
    Copy { name, capacity, weakening: None }
}

/// A copy for which one order is relaxed. Rings of one message are tried in every order.
const fn relaxed(name: &'static str, text: Text, was: &'static str, place: &'static str) -> Copy {
    Copy { name, capacity: 1, weakening: Some(Weakening { text, place, was, becomes: "Relaxed" }) }
}

/// All of them.
pub const COPIES: &[Copy] = &[
    sound("one", 1),
    sound("two", 2),
    sound("three", 3),
    relaxed("push_relaxed", Text::Rtrb, "Release", "self.buffer.tail.store(tail, Ordering::Release)"),
    relaxed("pop_relaxed", Text::Rtrb, "Release", "self.buffer.head.store(head, Ordering::Release)"),
    relaxed(
        "push_sees_head_relaxed",
        Text::Rtrb,
        "Acquire",
        "// Refresh the head ...\n            let head = self.buffer.head.load(Ordering::Acquire)",
    ),
    relaxed(
        "pop_sees_tail_relaxed",
        Text::Rtrb,
        "Acquire",
        "// Refresh the tail ...\n            let tail = self.buffer.tail.load(Ordering::Acquire)",
    ),
    relaxed(
        "room_relaxed",
        Text::Rtrb,
        "Acquire",
        "slots(&self) -> usize {\n        let head = self.buffer.head.load(Ordering::Acquire)",
    ),
    relaxed(
        "waiting_relaxed",
        Text::Rtrb,
        "Acquire",
        "slots(&self) -> usize {\n        let tail = self.buffer.tail.load(Ordering::Acquire)",
    ),
    Copy {
        name: "never_full",
        capacity: 1,
        weakening: Some(Weakening {
            text: Text::Rtrb,
            place: "if self.buffer.distance(head, tail) == self.buffer.capacity {",
            was: "==",
            becomes: ">",
        }),
    },
    relaxed("bell_relaxed", Text::Aliases, "Release", "bell.fetch_add(1, Ordering::Release)"),
    relaxed("bell_heard_relaxed", Text::Aliases, "Acquire", "bell.load(Ordering::Acquire)"),
];

impl Copy {
    /// Breaks the text, if it is the one that is broken in this copy.
    pub fn weaken(&self, text: Text, words: String) -> Result<String, String> {
        match &self.weakening {
            Some(weakening) if weakening.text == text => {
                let Weakening { place, was, becomes, .. } = weakening;
                text.replace(&words, place, &place.replace(was, becomes))
            }
            _ => Ok(words),
        }
    }
}
