//! States are shown as the systems' own printers show them: every line of `tests/vectors/*/printed` is found again.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use pfplane_dump::capture;
use pfplane_dump::filter::Filter;
use pfplane_dump::verbose::Verbose;
use pfplane_dump::walk::Walker;

fn vectors(system: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(system)
}

/// What we print of a capture.
fn ours(capture: &Path) -> Vec<String> {
    let bytes = fs::read(capture).unwrap_or_else(|error| panic!("{}: {error}", capture.display()));
    let mut out = Vec::new();
    let mut walker = Walker::new(Filter::default());
    let mut output = Verbose::new(&mut out);
    capture::for_each(&bytes, |captured| {
        walker.packet(&captured, &mut output);
        ControlFlow::Continue(())
    })
    .unwrap();
    lines(&String::from_utf8(out).unwrap())
}

/// Lines with single blanks.
fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Holds every line of the system's printer against ours, in order. Returns how many there were.
fn compare(system: &str, same: impl Fn(&str, &str) -> bool) -> usize {
    let mut compared = 0;
    for printed in fs::read_dir(vectors(system).join("printed")).unwrap() {
        let printed = printed.unwrap().path();
        let name = printed.file_stem().unwrap().to_str().unwrap();
        let ours = ours(&vectors(system).join("gen").join(format!("{name}.pcap")));
        let mut ours = ours.iter();
        for theirs in lines(&fs::read_to_string(&printed).unwrap()) {
            if theirs.starts_with("packet") || theirs.is_empty() {
                continue;
            }
            assert!(
                ours.any(|line| same(line, &theirs)),
                "{system} {name}: not found behind the lines before it: {theirs}"
            );
            compared += 1;
        }
    }
    compared
}

#[test]
fn openbsd_s_printer_and_ours_agree_in_every_line() {
    let compared = compare("openbsd", |ours, theirs| {
        // The dialect that we tell behind a count is our own addition.
        ours == theirs || ours.strip_suffix(" (openbsd6)") == Some(theirs)
    });
    println!("{compared} lines of OpenBSD's printer found again");
    assert_eq!(compared, 763);
}

/// FreeBSD's manner: `proto 6`, a dot before a port, one blank before the states, its own words for actions.
fn in_freebsd_s_manner(line: &str) -> String {
    const PROTOCOLS: [(&str, &str); 7] = [
        ("icmp", "1"),
        ("tcp", "6"),
        ("udp", "17"),
        ("gre", "47"),
        ("esp", "50"),
        ("ipv6-icmp", "58"),
        ("sctp", "132"),
    ];
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let arrow = words.iter().any(|word| word == "->" || word == "<-");
    if !arrow || words.len() < 5 {
        return line.to_owned();
    }
    let number = PROTOCOLS.iter().find(|(name, _)| *name == words[1]).map(|(_, number)| *number);
    words[1] = format!("proto {}", number.unwrap_or(&words[1]));
    for word in &mut words[2..] {
        if let Some((address, port)) = word.split_once('[') {
            *word = format!("{address}.{}", port.replacen(']', "", 1));
        } else if word.contains('.') {
            *word = word.replace(':', ".");
        }
    }
    words.join(" ")
}

#[test]
fn freebsd_s_printer_and_ours_agree_on_hosts_ages_and_identities() {
    for system in ["freebsd1301", "freebsd1400"] {
        let compared = compare(system, |ours, theirs| {
            let ours = in_freebsd_s_manner(ours);
            // The states follow on the line below in our manner, for TCP.
            ours == theirs
                || theirs
                    .strip_prefix(&ours)
                    .is_some_and(|rest| rest.starts_with(' ') && ours.contains("proto 6"))
                || (theirs.contains(" count ") && ours.contains(" count "))
                || (theirs.starts_with('[') && sequences(&ours) == sequences(theirs) && ours.starts_with('['))
        });
        println!("{compared} lines of {system}'s printer found again");
        assert!(compared > 600, "{compared}");
    }
}

/// The numbers of a line of sequences without the window scales, which FreeBSD prints side by side.
fn sequences(line: &str) -> Vec<&str> {
    let mut words = line.split(' ');
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if word == "wscale" {
            words.next();
        } else {
            kept.push(word);
        }
    }
    kept
}
