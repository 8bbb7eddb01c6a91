//! The note of nearly every packet: a few instructions on the hot record, without a look at the table.

use super::Exporter;
use super::queue::{Event, Step, step};
use crate::packet::protocol::TCP;
use crate::state::{Hot, LocalFlags};

impl Exporter {
    /// Notes a packet of a state as [`Self::updated`] does, if that changes nothing but the hot record. Returns false, and
    /// changes nothing, if it would change more.
    #[inline(always)]
    #[must_use]
    pub fn update_hot(&self, hot: &mut Hot) -> bool {
        if !self.is_active {
            return true;
        }
        if hot.local.any(LocalFlags::NETWORK_RECENT | LocalFlags::UPDATE_DUE) {
            return false;
        }
        match step(Event::Updated, hot.local.queue()) {
            Step::Stay => true,
            Step::Count if hot.key.proto != TCP => true,
            Step::Count => {
                let last = self.settings.maxupd.max(1) - 1;
                // The last update that is counted makes the message urgent.
                if hot.updates == last {
                    return false;
                }
                hot.updates += u8::from(hot.updates < last);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Queue;
    use crate::sync::SyncSettings;
    use crate::sync::fixture::{Node, settings, state};
    use pfsync::Profile;

    const QUEUES: [Queue; 7] = [
        Queue::None,
        Queue::Insert,
        Queue::Update,
        Queue::UpdateCompressed,
        Queue::InsertAck,
        Queue::MinAge,
        Queue::Repeat,
    ];

    #[test]
    fn what_the_hot_record_notes_alone_equals_the_whole_note() {
        let mut alone = 0;
        for (maxupd, active) in [(0, true), (1, true), (2, true), (128, true), (255, true), (9, false)] {
            let peers: &[Profile] = if active { &[Profile::OpenBsd6] } else { &[] };
            let mut node = Node::new(SyncSettings { maxupd, ..settings(peers) });
            let slot = node.put(&state(0));
            for (queue, proto) in QUEUES.into_iter().flat_map(|queue| [(queue, TCP), (queue, 17)]) {
                for (updates, flag) in (0..=u8::MAX).flat_map(|updates| {
                    [0, LocalFlags::NETWORK_RECENT, LocalFlags::UPDATE_DUE].map(|flag| (updates, flag))
                }) {
                    let mut before = *node.table.hot(slot);
                    before.local.clear(LocalFlags::NETWORK_RECENT | LocalFlags::UPDATE_DUE);
                    before.local.set(flag);
                    before.local.set_queue(queue);
                    (before.updates, before.key.proto) = (updates, proto);
                    let mut hot = before;
                    if !node.exporter.update_hot(&mut hot) {
                        assert_eq!(format!("{hot:?}"), format!("{before:?}"));
                        continue;
                    }
                    alone += 1;
                    *node.table.hot_mut(slot) = before;
                    node.update(slot);
                    assert_eq!(format!("{hot:?}"), format!("{:?}", node.table.hot(slot)));
                }
            }
        }
        assert!(alone > 10_000, "{alone}");
    }
}
