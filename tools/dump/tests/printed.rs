//! Compares the verbose style with the systems' own printers: it prints every line of `tests/vectors/*/printed`.

#[path = "../../../tests/captures/mod.rs"]
mod captures;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use captures::vectors;
use pfplane_dump::capture;
use pfplane_dump::decoder::Decoder;
use pfplane_dump::filter::Filter;
use pfplane_dump::styles::Verbose;

/// Returns the lines that the verbose style prints for a capture.
fn printed_by_us(file: &Path) -> Vec<String> {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut out = Vec::new();
    let mut decoder = Decoder::new(Filter::default());
    let mut output = Verbose::new(&mut out);
    capture::for_each_packet(&bytes, |captured| {
        decoder.packet(&captured, &mut output);
        ControlFlow::Continue(())
    })
    .unwrap();
    lines(&String::from_utf8(out).unwrap())
}

/// Splits text into lines with single spaces.
fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Finds every line of the system's printer in ours, in order, and returns how many there are.
fn compare(system: &str, same: impl Fn(&str, &str) -> bool) -> usize {
    let mut compared = 0;
    for printed in fs::read_dir(vectors(system).join("printed")).unwrap() {
        let printed = printed.unwrap().path();
        let name = printed.file_stem().unwrap().to_str().unwrap();
        let ours = printed_by_us(&vectors(system).join("gen").join(format!("{name}.pcap")));
        let mut ours = ours.iter();
        for theirs in lines(&fs::read_to_string(&printed).unwrap()) {
            if theirs.starts_with("packet") || theirs.is_empty() {
                continue;
            }
            assert!(
                ours.any(|line| same(line, &theirs)),
                "{system} {name}: not found after the previous line: {theirs}"
            );
            compared += 1;
        }
    }
    compared
}

#[test]
fn every_line_of_openbsds_printer_is_printed() {
    let compared = compare("openbsd", |ours, theirs| {
        // The profile after a count is our addition.
        ours == theirs || ours.strip_suffix(" (openbsd6)") == Some(theirs)
    });
    println!("{compared} lines of OpenBSD's printer compared");
    assert_eq!(compared, 763);
}

/// Rewrites a line as FreeBSD prints it: `proto 6`, and a dot before a port.
fn as_freebsd_prints(line: &str) -> String {
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
fn hosts_ages_and_identities_are_printed_as_by_freebsd() {
    for system in ["freebsd1301", "freebsd1400"] {
        let compared = compare(system, |ours, theirs| {
            let ours = as_freebsd_prints(ours);
            // For TCP, our states are on the next line.
            ours == theirs
                || theirs
                    .strip_prefix(&ours)
                    .is_some_and(|rest| rest.starts_with(' ') && ours.contains("proto 6"))
                || (theirs.contains(" count ") && ours.contains(" count "))
                || (theirs.starts_with('[') && sequences(&ours) == sequences(theirs) && ours.starts_with('['))
        });
        println!("{compared} lines of {system}'s printer compared");
        assert!(compared > 600, "{compared}");
    }
}

/// Removes the window scales from a line of sequence numbers; FreeBSD prints them in another place.
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
