//! Fields of whole states that this node keeps for its peers only.

use super::clean_name;
use crate::packet::Family;
use crate::state::{Extra, KeptFields};
use arrayvec::ArrayVec;
use pfsync::{FullState, Profile, name_bytes, route};

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
        rt_family: family_of(state.rt_family),
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

fn family_of(family: pfsync::Family) -> Family {
    match family {
        pfsync::Family::V4 => Family::V4,
        pfsync::Family::V6 => Family::V6,
        _ => Family::NONE,
    }
}

/// Maximum bytes of encoded fields.
pub(in crate::sync) const MAX_FIELD_BYTES: usize = FIXED_BYTES + 64;
/// Family and a zero, queues, two interface names.
const FIXED_BYTES: usize = 2 + 8 + 16 + 16;

/// Whether frames of a profile carry all of a state's kept fields.
pub(in crate::sync) fn carries(profile: Profile, fields: &KeptFields) -> bool {
    match profile {
        Profile::FreeBsd1500 => true,
        Profile::FreeBsd1400 => fields.tagname[0] | fields.orig_ifname[0] == 0,
        Profile::OpenBsd6 | Profile::FreeBsd1301 => *fields == KeptFields::EMPTY,
    }
}

/// Encodes fields for pfplane nodes, the tag without its zeros.
pub(in crate::sync) fn encode_fields(fields: &KeptFields) -> ArrayVec<u8, MAX_FIELD_BYTES> {
    let mut bytes = ArrayVec::new();
    let family = match fields.rt_family {
        Family::V4 => 4,
        Family::V6 => 6,
        _ => 0,
    };
    bytes.extend([family, 0]);
    fields.queues.iter().for_each(|queue| bytes.extend(queue.to_be_bytes()));
    bytes.extend(fields.rt_ifname);
    bytes.extend(fields.orig_ifname);
    bytes.extend(name_bytes(&fields.tagname).unwrap_or_default().iter().copied());
    bytes
}

/// Decodes fields. `None` when there are too few or too many bytes.
pub(in crate::sync) fn decode_fields(bytes: &[u8]) -> Option<KeptFields> {
    let (fixed, tag) = bytes.split_first_chunk::<FIXED_BYTES>()?;
    let mut fields = KeptFields {
        rt_family: match fixed[0] {
            4 => Family::V4,
            6 => Family::V6,
            _ => Family::NONE,
        },
        queues: core::array::from_fn(|n| u16::from_be_bytes([fixed[2 + 2 * n], fixed[3 + 2 * n]])),
        ..KeptFields::EMPTY
    };
    let (rt_ifname, orig_ifname) = fixed[10..].split_first_chunk()?;
    fields.rt_ifname = clean_name(rt_ifname);
    fields.orig_ifname = clean_name(orig_ifname.first_chunk()?);
    // The last byte of a tag is its NUL.
    fields.tagname[..63].get_mut(..tag.len())?.copy_from_slice(tag);
    fields.tagname = clean_tag(&fields.tagname);
    Some(fields)
}

fn clean_tag(field: &[u8; 64]) -> [u8; 64] {
    let mut clean = [0; 64];
    let name = name_bytes(field).unwrap_or_default();
    clean[..name.len()].copy_from_slice(name);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_fields_decode_to_themselves_and_other_lengths_are_refused() {
        let mut fields = KeptFields {
            rt_ifname: *b"vlan4\0\0\0\0\0\0\0\0\0\0\0",
            queues: [1, 2, 3, 0xffff],
            rt_family: Family::V6,
            ..KeptFields::EMPTY
        };
        for tag in [0, 1, 63] {
            fields.tagname[..tag].fill(b't');
            let bytes = encode_fields(&fields);
            assert_eq!(bytes.len(), FIXED_BYTES + tag);
            assert_eq!(decode_fields(&bytes), Some(fields));
            assert_eq!(decode_fields(&bytes[..FIXED_BYTES - 1]), None);
        }
        assert_eq!(decode_fields(&[b'x'; MAX_FIELD_BYTES]), None);
        let unterminated = decode_fields(&[b'x'; FIXED_BYTES]).unwrap();
        assert_eq!(unterminated.rt_ifname, [0; 16], "a name without a NUL is none");
    }

    #[test]
    fn each_profile_carries_the_fields_that_its_states_have() {
        let none = KeptFields::EMPTY;
        let queue = KeptFields { queues: [1, 0, 0, 0], ..none };
        let tag = KeptFields { tagname: [b't'; 64], ..none };
        let cases = [
            (Profile::OpenBsd6, [true, false, false]),
            (Profile::FreeBsd1301, [true, false, false]),
            (Profile::FreeBsd1400, [true, true, false]),
            (Profile::FreeBsd1500, [true, true, true]),
        ];
        for (profile, expected) in cases {
            assert_eq!([none, queue, tag].map(|fields| carries(profile, &fields)), expected, "{profile}");
        }
    }
}
