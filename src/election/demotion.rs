//! Why a node is demoted: computed from its inputs whenever it is asked for, never counted up and down, so that no demotion
//! can stay behind.

use super::Error;
use super::rank::{Class, Dialect};
use arrayvec::{ArrayString, ArrayVec};

/// Maximum length of the name of a host's reason, in bytes.
pub const MAX_REASON_BYTES: usize = 31;
/// Maximum number of a host's reasons at once.
pub const MAX_REASONS: usize = 16;
/// The weight of a reason that forbids to be master at all.
pub const FORBIDS: u32 = u32::MAX;

/// A reason of the host, such as a router that it cannot reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Its name.
    pub name: ArrayString<MAX_REASON_BYTES>,
    /// How much it demotes, or [`FORBIDS`].
    pub weight: u32,
}

/// What demotes a node.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    dialect: Dialect,
    link_weight: u32,
    /// Whether it knows what its peers know.
    pub(super) class: Class,
    /// Members whose link is down.
    pub(super) down: u32,
    /// Members whose last frames could not be sent.
    pub(super) send_failures: u32,
    reasons: ArrayVec<Reason, MAX_REASONS>,
}

impl Inputs {
    pub(super) fn new(dialect: Dialect, link_weight: u32) -> Self {
        Self {
            dialect,
            link_weight,
            class: Class::Loading,
            down: 0,
            send_failures: 0,
            reasons: ArrayVec::new(),
        }
    }

    /// Sets the weight of a reason; 0 takes it back.
    ///
    /// # Errors
    /// A name that is empty or too long, or too many reasons.
    pub(super) fn set(&mut self, name: &str, weight: u32) -> Result<(), Error> {
        if name.is_empty() || name.len() > MAX_REASON_BYTES {
            return Err(Error::Invalid { name: "reason", reason: "its name must have 1 to 31 bytes" });
        }
        self.reasons.retain(|reason| reason.name.as_str() != name);
        if weight > 0 {
            let name = ArrayString::from(name).expect("its length was checked");
            self.reasons
                .try_push(Reason { name, weight })
                .map_err(|_| Error::Invalid { name: "reason", reason: "there are 16 reasons already" })?;
        }
        Ok(())
    }

    pub(super) fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// Whether a reason forbids to be master.
    pub(super) fn forbidden(&self) -> bool {
        self.reasons.iter().any(|reason| reason.weight == FORBIDS)
    }

    /// Returns the demotion in the dialect's measure.
    pub(super) fn demotion(&self) -> u32 {
        let faulty = (self.down | self.send_failures).count_ones();
        let links = match self.dialect {
            Dialect::OpenBsd => faulty,
            // As sysctls net.inet.carp.ifdown_demotion_factor and senderr_demotion_factor have it.
            Dialect::FreeBsd => 240 * faulty.min(1),
            Dialect::Vrrp3 => self.link_weight.saturating_mul(faulty),
        };
        self.reasons.iter().fold(links, |sum, reason| sum.saturating_add(reason.weight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demotion_is_what_its_inputs_say_and_nothing_when_all_is_well() {
        for (dialect, one, two) in
            [(Dialect::OpenBsd, 1, 2), (Dialect::FreeBsd, 240, 240), (Dialect::Vrrp3, 20, 40)]
        {
            let mut inputs = Inputs::new(dialect, 20);
            assert_eq!(inputs.demotion(), 0);
            inputs.down = 1;
            inputs.send_failures = 1;
            assert_eq!(inputs.demotion(), one, "one member counts once");
            inputs.send_failures = 2;
            assert_eq!(inputs.demotion(), two);
            inputs.set("router", 5).unwrap();
            inputs.set("router", 7).unwrap();
            assert_eq!(inputs.demotion(), two + 7, "the last weight counts");
            inputs.set("router", 0).unwrap();
            (inputs.down, inputs.send_failures) = (0, 0);
            assert_eq!(inputs.demotion(), 0);
        }
    }

    #[test]
    fn reasons_are_bounded_and_named() {
        let mut inputs = Inputs::new(Dialect::Vrrp3, 20);
        assert!(inputs.set("", 1).is_err() && inputs.set(&"x".repeat(32), 1).is_err());
        (0..16).for_each(|n| inputs.set(&format!("reason {n}"), 1).unwrap());
        assert!(inputs.set("one more", 1).is_err());
        inputs.set("reason 3", FORBIDS).unwrap();
        assert!(inputs.forbidden() && inputs.demotion() == u32::MAX);
    }
}
