//! The trailer behind a pfplane node's frame.

use super::{Importer, Sender};
use crate::state::{ExtraPart, KeptFields, Opaque};
use crate::sync::interfaces;
use crate::sync::message::{Body, MessageSink, PeerIndex};
use crate::sync::stream::Order;
use crate::sync::translate::decode_fields;
use pfsync::{FrameReader, StateOption, TrailerError, option_kind};

impl Importer {
    /// Passes on what the trailer says of states. Counts a trailer or an option that is not read.
    pub(super) fn decode_trailer(
        &mut self,
        reader: &FrameReader<'_>,
        sender: &Sender,
        sink: &mut impl MessageSink,
    ) {
        let trailer = match reader.trailer() {
            Ok(Some(trailer)) => trailer,
            Ok(None) => return,
            Err(error) => return self.count_bad_trailer(error),
        };
        let order = self.streams.receive(sender.peer, trailer.fields());
        self.count_order(sender.peer, order);
        for option in trailer.options() {
            let Ok(option) = option else {
                self.counters.options_malformed += 1;
                continue;
            };
            if option.kind == option_kind::ELECTION
                && let Ok(hello) = option.value.try_into()
            {
                self.counters.hellos_received += 1;
                sink.hello(hello);
                continue;
            }
            match option.state().and_then(|about| Some((about.id, self.extra_part(&about, sender)?))) {
                Some((id, part)) => self.pass_on(Body::Extra(id.into(), part), sender, sink),
                None => self.counters.options_skipped += 1,
            }
        }
    }

    fn count_order(&mut self, peer: PeerIndex, order: Order) {
        let of_peer = &mut self.peer_counters[usize::from(peer)];
        match order {
            Order::Next => {}
            Order::Gap(frames) => {
                self.counters.frames_lost = self.counters.frames_lost.wrapping_add(frames);
                of_peer.frames_lost = of_peer.frames_lost.wrapping_add(frames);
            }
            Order::Late => {
                self.counters.frames_late += 1;
                of_peer.frames_late += 1;
            }
        }
    }

    const fn count_bad_trailer(&mut self, error: TrailerError) {
        *match error {
            TrailerError::Short => &mut self.counters.trailer_short,
            TrailerError::Format => &mut self.counters.trailer_format,
            TrailerError::Length => &mut self.counters.trailer_length,
        } += 1;
    }

    fn extra_part(&self, about: &StateOption<'_>, sender: &Sender) -> Option<ExtraPart> {
        match about.kind {
            option_kind::STATE_OPAQUE => Opaque::new(about.value).map(ExtraPart::Opaque),
            option_kind::STATE_FIELDS => self.decode_fields(about.value, sender).map(ExtraPart::Fields),
            _ => None,
        }
    }

    fn decode_fields(&self, value: &[u8], sender: &Sender) -> Option<KeptFields> {
        let mut fields = decode_fields(value)?;
        let pairs = &self.peers[usize::from(sender.peer)].interfaces;
        for name in [&mut fields.rt_ifname, &mut fields.orig_ifname] {
            *name = interfaces::to_ours(pairs, name);
        }
        Some(fields)
    }
}
