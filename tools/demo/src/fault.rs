//! What happens to the master.

use pfplane_testbed::firewall::Node;

/// One event of a run. After it the other firewall is the master, or the same one when a partition ended so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT after these seconds.
    Pause(u32),
    /// All links between the firewalls are cut, and restored after these seconds. Client and server reach both.
    Partition(u32),
    /// The control word `step-down`: a planned switch.
    StepDown,
    /// SIGTERM: a planned switch and an orderly exit.
    Terminate,
}

impl Fault {
    /// Whether the master vanishes without a message.
    pub(crate) fn is_sudden(self) -> bool {
        matches!(self, Fault::Kill | Fault::Pause(_))
    }

    /// Whether it is planned: nothing may be lost.
    pub(crate) fn is_planned(self) -> bool {
        matches!(self, Fault::StepDown | Fault::Terminate)
    }

    /// Returns a row's name, `kill of firewall A`.
    pub(crate) fn of(self, node: Node) -> String {
        let name = node.name();
        match self {
            Fault::Kill => format!("kill of {name}"),
            Fault::Pause(seconds) => format!("pause of {name}, {seconds} s"),
            Fault::Partition(seconds) => format!("partition, {seconds} s"),
            Fault::StepDown => format!("step-down of {name}"),
            Fault::Terminate => format!("SIGTERM of {name}"),
        }
    }

    /// Returns the picture's label at its beginning.
    pub(crate) fn label(self, node: Node) -> String {
        let name = node.name();
        match self {
            Fault::Kill => format!("{name} killed"),
            Fault::Pause(_) => format!("{name} paused"),
            Fault::Partition(_) => "links cut".into(),
            Fault::StepDown => format!("{name} steps down"),
            Fault::Terminate => format!("{name} gets SIGTERM"),
        }
    }

    fn one_and_many(self) -> (&'static str, &'static str) {
        match self {
            Fault::Kill => ("the death of their firewall", "deaths of their firewall in a row"),
            Fault::Pause(_) => ("a pause of their firewall", "pauses of their firewall in a row"),
            Fault::Partition(_) => ("a partition of the firewalls", "partitions of the firewalls in a row"),
            Fault::StepDown | Fault::Terminate => ("a planned switch", "planned switches in a row"),
        }
    }
}

/// Returns what the connections had to survive. All faults of a run are of one kind.
pub(crate) fn describe(faults: &[Fault]) -> String {
    match faults {
        [Fault::Kill, Fault::Kill] => "the deaths of both firewalls in turn".into(),
        [one] => one.one_and_many().0.into(),
        [first, ..] => format!("{} {}", faults.len(), first.one_and_many().1),
        [] => "nothing".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_counts_the_faults() {
        assert_eq!(describe(&[Fault::Kill]), "the death of their firewall");
        assert_eq!(describe(&[Fault::Kill; 2]), "the deaths of both firewalls in turn");
        assert_eq!(describe(&[Fault::Pause(2); 3]), "3 pauses of their firewall in a row");
        assert_eq!(describe(&[Fault::StepDown, Fault::Terminate]), "2 planned switches in a row");
    }
}
