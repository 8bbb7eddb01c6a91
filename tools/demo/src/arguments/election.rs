//! The options of the election: protocol, interval, the second router.

use pfplane_testbed::clock::SECOND;
use pfplane_testbed::failure::{Context, Fallible, fail};
use pfplane_testbed::firewall::{Election, Node, Protocol};
use pfplane_testbed::router::Peer;

use super::Arguments;
use crate::mode::Mode;

/// Reads the value of `--election`; `None` for `none`.
pub(super) fn protocol(parser: &mut lexopt::Parser) -> Fallible<Option<Protocol>> {
    let value = parser.value().context(|| "read --election")?;
    let name = value.to_string_lossy();
    match Protocol::from_name(&name) {
        None if name != "none" => fail(format!("--election takes vrrp, carp or none, not '{name}'")),
        protocol => Ok(protocol),
    }
}

/// Reads the value of `--peer`.
pub(super) fn peer(parser: &mut lexopt::Parser) -> Fallible<Peer> {
    let value = parser.value().context(|| "read --peer")?;
    let name = value.to_string_lossy();
    Peer::from_name(&name).map_or_else(|| fail(format!("--peer takes keepalived or ucarp, not '{name}'")), Ok)
}

/// VRRP's interval in planned switches: the farewell starts the takeover at any interval, and at this one a machine that stands still
/// for tens of milliseconds costs no master its role.
const SWITCH_INTERVAL_MS: u32 = 100;

/// Returns the election. `protocol`: the value of `--election`, if there is one.
pub(super) fn choose(
    protocol: Option<Option<Protocol>>,
    interval_ms: Option<u32>,
    peer: Option<Peer>,
    mode: Mode,
) -> Fallible<Option<Election>> {
    let default = peer.map_or(Protocol::Vrrp, Peer::protocol);
    let chosen = protocol.unwrap_or(Some(default));
    if let Some(peer) = peer.filter(|_| chosen != Some(default)) {
        return fail(format!("--peer {} speaks {} only", peer.name(), default.name()));
    }
    Ok(chosen.map(|protocol| {
        let usual = match (peer, protocol) {
            (Some(peer), _) => peer.default_interval_ms(),
            (None, Protocol::Vrrp) if mode == Mode::Switch => SWITCH_INTERVAL_MS,
            (None, protocol) => protocol.default_interval_ms(),
        };
        Election { protocol, interval_ms: interval_ms.unwrap_or(usual) }
    }))
}

/// Refuses an election that does not fit the rest.
pub(super) fn check(arguments: &Arguments) -> Fallible<()> {
    let Arguments { mode, election, repeat, kills, capture, freeze_s, .. } = *arguments;
    if mode.needs_election() && election.is_none() {
        return fail(format!("'{}' needs an election; --election none disables it", mode.description()));
    }
    if mode.needs_election() && !capture {
        return fail(format!(
            "'{}' is judged by what the firewalls send; --no-capture disables that",
            mode.description()
        ));
    }
    if let Some(Election { protocol: Protocol::Carp, interval_ms }) = election
        && interval_ms % 1000 != 0
    {
        return fail("--interval-ms takes whole seconds with --election carp: 1000, 2000, ...");
    }
    if let Some(Election { interval_ms, .. }) = election
        && interval_ms % 10 != 0
    {
        return fail("--interval-ms takes tens of milliseconds: VRRP counts hundredths of a second");
    }
    if let Some(election) = election.filter(|_| mode == Mode::Freeze) {
        let takeover = election.takeover_bound(Node::A).max.max(election.takeover_bound(Node::B).max);
        let min_s = takeover / SECOND + 1;
        if u64::from(freeze_s) < min_s {
            return fail(format!(
                "--freeze {freeze_s}: the other firewall needs longer to take over; use {min_s} or more"
            ));
        }
    }
    if repeat.is_some() && (kills.is_some() || !mode.repeats()) {
        return fail(format!("--repeat does not combine with '{}' or --kills", mode.description()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::tests::parsed;

    #[test]
    fn the_election_is_by_vrrp_every_10_ms_and_carp_counts_seconds() {
        let election = |line: &str| parsed(line).unwrap().unwrap().election;
        assert_eq!(election("").map(|election| election.interval_ms), Some(10));
        assert_eq!(election("--switch").map(|election| election.interval_ms), Some(100));
        let carp = Election { protocol: Protocol::Carp, interval_ms: 1000 };
        assert_eq!((election("--election carp"), election("--election none")), (Some(carp), None));
        assert!(parsed("--election carp --interval-ms 100").unwrap_err().0.contains("whole seconds"));
        assert!(parsed("--interval-ms 15").unwrap_err().0.contains("tens"));
        assert!(parsed("--election ospf").unwrap_err().0.contains("ospf"));
    }

    #[test]
    fn a_peer_has_its_own_protocol_and_interval_and_only_the_plain_run() {
        let election = |line: &str| parsed(line).unwrap().unwrap().election;
        let vrrp = Election { protocol: Protocol::Vrrp, interval_ms: 100 };
        let carp = Election { protocol: Protocol::Carp, interval_ms: 1000 };
        assert_eq!((election("--peer keepalived"), election("--peer ucarp")), (Some(vrrp), Some(carp)));
        assert_eq!(
            election("--peer keepalived --interval-ms 10").map(|election| election.interval_ms),
            Some(10)
        );
        assert!(parsed("--peer ucarp --election vrrp").unwrap_err().0.contains("speaks carp only"));
        assert!(parsed("--peer keepalived --election none").unwrap_err().0.contains("speaks vrrp only"));
        assert!(parsed("--peer frr").unwrap_err().0.contains("not 'frr'"));
        for option in ["--freeze 2", "--repeat 2", "--kills 2", "--nat", "--seal", "--no-capture", "--defer"]
        {
            assert!(
                parsed(&format!("--peer keepalived {option}")).unwrap_err().0.contains("--peer"),
                "{option}"
            );
        }
    }

    #[test]
    fn freezes_partitions_and_switches_need_an_election_and_a_capture() {
        for line in ["--freeze 2", "--partition", "--switch"] {
            assert!(parsed(line).is_ok(), "{line}");
            assert!(parsed(&format!("{line} --election none")).is_err(), "{line}");
            assert!(parsed(&format!("{line} --no-capture")).is_err(), "{line}");
        }
        assert!(parsed("--freeze 3 --election carp").unwrap_err().0.contains("use 4"));
    }
}
