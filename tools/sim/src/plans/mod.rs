//! Plans: what happens in a seed. A seed draws its plan; `--plan NAME` chooses one.

mod crowded;
mod dying;
mod forged;
mod link_reports;
mod one_way;
mod operator;
mod pauses;
mod split_brain;
mod traffic;
mod translation;

use crate::election;
use crate::scenario;
use crate::seal;
use crate::world::World;
use crate::world::setup::Setup;
use pfplane_testkit::Random;

/// What happens in a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Every fault of the link and the nodes in turn, and recovery from them.
    Faults,
    /// Timeouts shrink while tables fill with idle and half-open connections.
    Adaptive,
    /// Tables are 80 to 100 % full.
    Full,
    /// Nodes have different capacities and numbers of lanes.
    Unequal,
    /// An operator clears and kills states, and pushes and requests bulk transfers.
    Operator,
    /// The sync link fails, and the hosts report it.
    LinkReports,
    /// Nodes pause for 1 to 60 s.
    Pauses,
    /// Source NAT and limits per source, on a bad link.
    Translation,
    /// Frames pass in one direction only.
    OneWay,
    /// Both nodes of a divided pair forward and translate to one address.
    SplitBrain,
    /// The link loses frames while a node dies.
    Dying,
    /// An attacker on the link forges inserts, updates, deletes, clears and bulk marks.
    Forged,
    /// Nodes elect a master, and die, stop and are cut off.
    Election,
    /// Two nodes with a seal restart, and an attacker replays, reorders and reflects their frames.
    Seal,
    /// The link loses frames between pfplane nodes, which send them again.
    Repair,
}

/// How a plan is known, and what it does.
struct Entry {
    name: &'static str,
    plan: Plan,
    set_up: fn(&mut Setup, &mut Random),
    run: fn(&mut World),
}

const ENTRIES: [Entry; 15] = [
    entry("faults", Plan::Faults, |_, _| {}, scenario::run),
    entry("adaptive", Plan::Adaptive, crowded::set_up_adaptive, crowded::run_idle),
    entry("full", Plan::Full, crowded::set_up_full, crowded::run_busy),
    entry("unequal", Plan::Unequal, crowded::set_up_unequal, crowded::run_busy),
    entry("operator", Plan::Operator, traffic::set_up_group, operator::run),
    entry("link", Plan::LinkReports, traffic::set_up_pair, link_reports::run),
    entry("pauses", Plan::Pauses, pauses::set_up, pauses::run),
    entry("translation", Plan::Translation, translation::set_up, translation::run),
    entry("one-way", Plan::OneWay, traffic::set_up_group, one_way::run),
    entry("split-brain", Plan::SplitBrain, translation::set_up_pair, split_brain::run),
    entry("dying", Plan::Dying, dying::set_up, dying::run),
    entry("forged", Plan::Forged, traffic::set_up_group, forged::run),
    entry("election", Plan::Election, |_, _| {}, election::run),
    entry("seal", Plan::Seal, |_, _| {}, seal::run),
    entry("repair", Plan::Repair, scenario::repair::set_up, scenario::repair::run),
];

const fn entry(
    name: &'static str,
    plan: Plan,
    set_up: fn(&mut Setup, &mut Random),
    run: fn(&mut World),
) -> Entry {
    Entry { name, plan, set_up, run }
}

impl Plan {
    /// Returns the plan of a name.
    ///
    /// # Errors
    /// A message that names the unknown plan.
    pub fn parse(name: &str) -> Result<Self, String> {
        let known = ENTRIES.iter().find(|entry| entry.name == name).map(|entry| entry.plan);
        known.ok_or_else(|| {
            let names = ENTRIES.iter().map(|entry| entry.name).collect::<Vec<_>>();
            format!("unknown plan '{name}'; the plans are {}", names.join(" "))
        })
    }

    /// Returns the plans that seeds draw.
    pub fn drawn() -> impl Iterator<Item = Self> {
        ENTRIES.iter().map(|entry| entry.plan)
    }

    /// Draws the plan of a seed: every second one is [`Plan::Faults`].
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut random = Random::stream(seed, 0x70_6c61_6e73);
        let others: Vec<_> = Self::drawn().filter(|&plan| plan != Self::Faults).collect();
        if others.is_empty() || random.chance(500) {
            Self::Faults
        } else {
            others[random.index(others.len())]
        }
    }

    /// Returns its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Changes the setup of a seed to what the plan needs.
    pub(crate) fn set_up(self, setup: &mut Setup, random: &mut Random) {
        (self.entry().set_up)(setup, random);
    }

    /// Runs a seed.
    pub(crate) fn run(self, world: &mut World) {
        (self.entry().run)(world);
        world.figures.frames += world.sent.frames;
        world.figures.messages += world.sent.messages();
    }

    /// Returns whether the plan needs exactly two nodes.
    pub(crate) const fn is_for_pairs(self) -> bool {
        !matches!(
            self,
            Self::Faults | Self::Operator | Self::OneWay | Self::Dying | Self::Forged | Self::Repair
        )
    }

    /// Returns whether the nodes may be pfplane nodes to each other: an attacker that passes every check has frames dropped.
    pub(crate) const fn may_be_pfplane(self) -> bool {
        !matches!(self, Self::Forged)
    }

    fn entry(self) -> &'static Entry {
        &ENTRIES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_is_found_by_its_name_and_drawn_by_some_seed() {
        for (index, entry) in ENTRIES.iter().enumerate() {
            assert_eq!(entry.plan as usize, index, "{}", entry.name);
            assert_eq!(Plan::parse(entry.name), Ok(entry.plan));
            assert!((0..1000).any(|seed| Plan::of_seed(seed) == entry.plan), "{}", entry.name);
        }
        assert!(Plan::parse("rain").unwrap_err().contains("rain"));
    }
}
