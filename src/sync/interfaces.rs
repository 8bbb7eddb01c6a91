//! Interface names: a network may have another name on a peer, and a peer's names may be unknown here.

use super::translate::clean_name;
use crate::state::{FLOATING, IfName};

/// A network's interface name here and on the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfacePair {
    /// Our name.
    pub ours: IfName,
    /// The peer's name.
    pub theirs: IfName,
}

/// Returns the peer's name of one of our interfaces: our own unless a pair says otherwise.
pub(super) fn to_theirs(pairs: &[InterfacePair], ours: &IfName) -> IfName {
    pairs.iter().find(|pair| pair.ours == *ours).map_or(*ours, |pair| pair.theirs)
}

/// Returns our name of one of the peer's interfaces, without stray bytes.
pub(super) fn to_ours(pairs: &[InterfacePair], theirs: &IfName) -> IfName {
    let theirs = clean_name(theirs);
    pairs.iter().find(|pair| pair.theirs == theirs).map_or(theirs, |pair| pair.ours)
}

/// Whether states of an interface are accepted. OpenBSD accepts any and creates a placeholder interface; FreeBSD refuses
/// unknown ones (protocol 5.3). `known` is `None` for OpenBSD's behaviour.
pub(super) fn accepts(known: Option<&[IfName]>, name: &IfName) -> bool {
    known.is_none_or(|names| *name == FLOATING || names.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> IfName {
        let mut name = [0; 16];
        name[..text.len()].copy_from_slice(text.as_bytes());
        name
    }

    #[test]
    fn names_are_translated_both_ways_and_others_stay_the_same() {
        let pairs = [
            InterfacePair { ours: name("eth0"), theirs: name("em0") },
            InterfacePair { ours: name("eth1"), theirs: name("em1") },
        ];
        assert_eq!(to_theirs(&pairs, &name("eth1")), name("em1"));
        assert_eq!(to_ours(&pairs, b"em0\0stray bytes\0"), name("eth0"));
        assert_eq!(to_theirs(&pairs, &FLOATING), FLOATING);
        assert_eq!(to_ours(&pairs, &name("vlan7")), name("vlan7"));
        assert_eq!(to_theirs(&[], &name("eth1")), name("eth1"));
    }

    #[test]
    fn an_unknown_interface_is_accepted_unless_the_known_ones_are_listed() {
        assert!(accepts(None, &name("em7")));
        let known = [name("em0")];
        assert!(accepts(Some(&known), &name("em0")) && accepts(Some(&known), &FLOATING));
        assert!(!accepts(Some(&known), &name("em7")));
    }
}
