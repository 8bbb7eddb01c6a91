//! Fields of whole states that this node keeps for its peers only.

use super::clean_name;
use crate::packet::Family;
use crate::state::{Extra, KeptFields};
use pfsync::{FullState, name_bytes, route};

/// Returns the fields of a received state that are kept; `None` if it has none of them.
pub(in crate::sync) fn extra_of(state: &FullState) -> Option<Extra> {
    let FullState { rt_ifname, orig_ifname, tagname, qid, pqid, dnpipe, dnrpipe, .. } = state;
    let has_names = rt_ifname[0] | orig_ifname[0] | tagname[0] != 0;
    let has_family = state.rt != route::NONE && state.rt_family.is_ip();
    if !has_names && !has_family && (qid | pqid | dnpipe | dnrpipe) == 0 {
        return None;
    }
    let fields = KeptFields {
        tagname: clean_tag(tagname),
        rt_ifname: clean_name(rt_ifname),
        orig_ifname: clean_name(orig_ifname),
        queues: [*qid, *pqid, *dnpipe, *dnrpipe],
        rt_family: match state.rt_family {
            pfsync::Family::V4 => Family::V4,
            pfsync::Family::V6 => Family::V6,
            _ => Family::NONE,
        },
    };
    Some(Extra { fields, ..Extra::EMPTY })
}

/// Adds the kept fields to a state in our own conventions.
pub(crate) fn add_extra(state: &mut FullState, extra: &Extra) {
    let KeptFields { tagname, rt_ifname, orig_ifname, queues, rt_family } = extra.fields;
    (state.tagname, state.rt_ifname, state.orig_ifname) = (tagname, rt_ifname, orig_ifname);
    [state.qid, state.pqid, state.dnpipe, state.dnrpipe] = queues;
    state.rt_family = match rt_family {
        Family::V4 => pfsync::Family::V4,
        Family::V6 => pfsync::Family::V6,
        _ => pfsync::Family::NONE,
    };
}

fn clean_tag(field: &[u8; 64]) -> [u8; 64] {
    let mut clean = [0; 64];
    let name = name_bytes(field).unwrap_or_default();
    clean[..name.len()].copy_from_slice(name);
    clean
}
