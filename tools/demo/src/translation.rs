//! What the firewalls translate on the way: each kind is an option of the command line, with any mode.

use std::net::Ipv6Addr;

use crate::failure::Outcome;
use crate::namespaces::{Namespaces, OUTSIDE_ADDRESSES, Place, SERVER_V4};

/// The prefix that stands for IPv4 at the client.
const PREFIX: &str = "64:ff9b::/96";

/// What becomes of the client's addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Translation {
    /// They stay.
    #[default]
    Nothing,
    /// The server sees the firewalls' address of the same family.
    Nat,
    /// The client has IPv6 only, the server IPv4 only.
    Nat64,
}

/// All that one kind is.
struct Entry {
    translation: Translation,
    /// The option that asks for it.
    option: &'static str,
    /// What is said at the beginning.
    sentence: &'static str,
    /// Makes the network so that nothing gets through untranslated.
    prepare: fn(&Namespaces) -> Outcome<()>,
    /// The rules: families, ICMP, what stands between `to` and the port, and what is behind it.
    rules: fn() -> Vec<Rule>,
}

/// The parts of a rule that differ.
struct Rule {
    family: &'static str,
    icmp: &'static str,
    destination: &'static str,
    action: String,
}

const TRANSLATIONS: [Entry; 3] = [
    Entry {
        translation: Translation::Nothing,
        option: "",
        sentence: "",
        prepare: |_| Ok(()),
        rules: || in_both_families(|_| String::new()),
    },
    Entry {
        translation: Translation::Nat,
        option: "nat",
        sentence: "the server knows no way to the client: it sees the firewalls' address only",
        prepare: |namespaces| namespaces.forget_gateway(Place::Server),
        rules: || in_both_families(|address| format!("nat-to {address} ")),
    },
    Entry {
        translation: Translation::Nat64,
        option: "nat64",
        sentence: "the client has no IPv4 and the server no IPv6: the firewalls translate between them",
        prepare: |namespaces| {
            namespaces.forget_gateway(Place::Server)?;
            namespaces.forget_family(Place::Client, "-4")?;
            namespaces.forget_family(Place::Server, "-6")
        },
        rules: || {
            let action = format!("af-to inet from {} ", outside_address(0));
            vec![Rule { family: "inet6", icmp: "icmp6", destination: PREFIX, action }]
        },
    },
];

fn outside_address(index: usize) -> &'static str {
    let outside = OUTSIDE_ADDRESSES[index];
    outside.split('/').next().unwrap_or(outside)
}

fn in_both_families(action: fn(&str) -> String) -> Vec<Rule> {
    let rule = |(index, (family, icmp))| Rule {
        family,
        icmp,
        destination: "any",
        action: action(outside_address(index)),
    };
    [("inet", "icmp"), ("inet6", "icmp6")].into_iter().enumerate().map(rule).collect()
}

impl Translation {
    /// The kind that `--option` asks for.
    pub fn of_option(option: &str) -> Option<Translation> {
        let asked = |entry: &&Entry| !entry.option.is_empty() && entry.option == option;
        TRANSLATIONS.iter().find(asked).map(|entry| entry.translation)
    }

    /// All options that ask for one, for sentences.
    pub fn options() -> String {
        let names: Vec<String> =
            TRANSLATIONS[1..].iter().map(|entry| format!("--{}", entry.option)).collect();
        names.join(" and ")
    }

    fn entry(self) -> &'static Entry {
        TRANSLATIONS.iter().find(|entry| entry.translation == self).unwrap_or(&TRANSLATIONS[0])
    }

    /// The name of its option, for reports; empty when nothing is translated.
    pub fn name(self) -> &'static str {
        self.entry().option
    }

    /// What is said at the beginning; nothing when nothing is translated.
    pub fn sentence(self) -> Option<&'static str> {
        Some(self.entry().sentence).filter(|sentence| !sentence.is_empty())
    }

    /// Makes the network so that nothing gets through untranslated.
    pub fn prepare(self, namespaces: &Namespaces) -> Outcome<()> {
        (self.entry().prepare)(namespaces)
    }

    /// The rules that both firewalls read: the client may open connections to the server, and nothing passes that does
    /// not belong to a state or make one.
    pub fn rules(self) -> String {
        let mut rules = String::from("# Written by the demonstration.\nblock all\n");
        for Rule { family, icmp, destination, action } in (self.entry().rules)() {
            for (proto, port) in [("tcp", " port 5000"), ("udp", " port 5001"), (icmp, "")] {
                rules += &format!(
                    "pass in {family} proto {proto} from any to {destination}{port} {action}keep state\n"
                );
            }
        }
        rules
    }

    /// Where a client without IPv4 finds the server.
    pub fn server_for_ipv6_only(self) -> Option<Ipv6Addr> {
        let prefix = PREFIX.split('/').next().unwrap_or(PREFIX);
        let address = (self == Translation::Nat64).then(|| format!("{prefix}{SERVER_V4}").parse());
        address.map(|address| address.expect("an address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_translation_has_an_option_of_its_own() {
        for Entry { translation, option, .. } in TRANSLATIONS {
            assert_eq!(translation.name(), option);
            let asked = (translation != Translation::Nothing).then_some(translation);
            assert_eq!(Translation::of_option(option), asked);
            assert_eq!(translation.sentence().is_some(), asked.is_some());
        }
        assert_eq!(Translation::of_option("nat46"), None);
    }

    #[test]
    fn the_rules_pass_what_the_traffic_is_and_translate_it() {
        let plain = Translation::Nothing.rules();
        assert!(plain.contains("pass in inet proto tcp from any to any port 5000 keep state\n"), "{plain}");
        assert!(plain.contains("pass in inet6 proto icmp6 from any to any keep state\n"), "{plain}");
        let nat = Translation::Nat.rules();
        assert!(
            nat.contains("pass in inet proto udp from any to any port 5001 nat-to 10.2.0.1 keep state\n")
        );
        assert!(
            nat.contains("pass in inet6 proto tcp from any to any port 5000 nat-to fd00:2::1 keep state\n")
        );
        let nat64 = Translation::Nat64.rules();
        assert!(nat64.contains(
            "pass in inet6 proto tcp from any to 64:ff9b::/96 port 5000 af-to inet from 10.2.0.1 keep state\n"
        ));
        assert_eq!(nat64.lines().filter(|line| line.contains("pass")).count(), 3);
    }

    #[test]
    fn a_client_without_ipv4_finds_the_server_behind_the_prefix() {
        let server = Translation::Nat64.server_for_ipv6_only();
        assert_eq!(server, Some("64:ff9b::a02:14".parse().expect("an address")));
        assert_eq!(Translation::Nat.server_for_ipv6_only(), None);
    }
}
