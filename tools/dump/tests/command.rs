//! The command as a user runs it: styles, filters and the exit status.

#[path = "../../../tests/captures/mod.rs"]
mod captures;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use captures::{capture_names, json, vectors};
use serde_json::Value;

fn run(arguments: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pfplane-dump")).args(arguments).arg(file).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Writes a pcap file of raw IP packets.
fn capture(name: &str, packets: &[Vec<u8>]) -> PathBuf {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65535, 101] {
        file.extend(word.to_le_bytes());
    }
    for packet in packets {
        let length = packet.len() as u32;
        for word in [7, 8, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    write(name, &file)
}

fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn captures_of_pfsync0_and_enc0_are_read_and_so_is_the_start_of_a_cut_packet() {
    let ids = [&[7, 3, 0, 2][..], &[1; 24], &[2, 3, 0, 9], &[1; 108]].concat();
    let frame = frame(6, &ids);
    let ip = packet(&frame);
    let enc = [&[0, 0, 0, 2][..], &[0; 8], &ip].concat();
    let deletes = "DEL_C 2: 0101010101010101/01010101 0101010101010101/01010101";
    for (link_type, bytes) in
        [(18, &frame), (121, &frame), (246, &frame), (13, &enc), (109, &enc), (101, &ip)]
    {
        for cut in [0, 50] {
            let kept = &bytes[..bytes.len() - cut];
            let mut file = Vec::new();
            for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65535, link_type] {
                file.extend(word.to_le_bytes());
            }
            for word in [7, 8, kept.len() as u32, bytes.len() as u32] {
                file.extend(word.to_le_bytes());
            }
            file.extend(kept);
            let output = run(&[], &write(&format!("link-{link_type}-{cut}.pcap"), &file));
            let shown = text(&output);
            assert_eq!(output.status.code(), Some(0), "{link_type}: {shown}");
            assert!(shown.contains("v6") && shown.contains(deletes), "{link_type}: {shown}");
            assert_eq!(shown.contains("[cut:"), cut > 0, "{link_type}: {shown}");
            assert_eq!(shown.contains("INS_ACK 9"), cut == 0, "{link_type}: {shown}");
            assert_eq!(
                shown.contains("192.0.2.9"),
                ![18, 121, 246].contains(&link_type),
                "{link_type}: {shown}"
            );
        }
    }
}

/// Returns an IPv4 packet with this frame.
fn packet(frame: &[u8]) -> Vec<u8> {
    use pfsync::envelope::{Address, GROUP_V4, TOS_LOW_DELAY, Transport};
    let transport =
        Transport { source: Address::V4([192, 0, 2, 9]), destination: GROUP_V4, tos: TOS_LOW_DELAY };
    let mut packet = vec![0; 20];
    transport.emit(&mut packet, frame.len(), 1).unwrap();
    packet.extend(frame);
    packet
}

fn frame(version: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![version, 0, 0, 20 + body.len() as u8];
    frame.extend([0; 16]);
    frame.extend(body);
    frame
}

#[test]
fn every_recorded_capture_is_well_formed_in_every_style() {
    for system in ["openbsd", "freebsd1301", "freebsd1400"] {
        for name in capture_names(system) {
            let file = vectors(&format!("{system}/gen/{name}.pcap"));
            for style in [&[][..], &["-v"], &["--json"], &["--stats"]] {
                let output = run(style, &file);
                assert_eq!(output.status.code(), Some(0), "{style:?} {}", file.display());
                assert!(!output.stdout.is_empty() && output.stderr.is_empty());
            }
        }
    }
}

/// Compares every value of `theirs` that `ours` has under the same name, and returns how many there are.
fn compare(ours: &Value, theirs: &Value, name: &str) -> usize {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let common = theirs.iter().filter_map(|(key, value)| Some((key, ours.get(key)?, value)));
            common.map(|(key, ours, theirs)| compare(ours, theirs, &format!("{name}.{key}"))).sum()
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len(), "{name}");
            ours.iter().zip(theirs).map(|(ours, theirs)| compare(ours, theirs, name)).sum()
        }
        (_, theirs) if theirs == "same" => 0,
        _ => {
            assert_eq!(ours, theirs, "{name}");
            1
        }
    }
}

/// Returns all messages of a frame.
fn messages(frame: &Value) -> impl Iterator<Item = &Value> {
    frame["sections"].as_array().unwrap().iter().flat_map(|section| section["messages"].as_array().unwrap())
}

#[test]
fn json_has_the_values_that_the_sender_had_in_memory() {
    for (system, capture) in
        ["openbsd", "freebsd1400"].iter().flat_map(|s| ["ins", "upd", "mixed"].map(|c| (s, c)))
    {
        let expected = json(&format!("{system}/gen/{capture}.json"));
        let output = run(&["--json"], &vectors(&format!("{system}/gen/{capture}.pcap")));
        let mut compared = 0;
        for (line, theirs) in text(&output).lines().zip(expected["packets"].as_array().unwrap()) {
            let ours: Value = serde_json::from_str(line).unwrap();
            let name = format!("{system} {capture} {}", theirs["n"]);
            for (ours, theirs) in messages(&ours).zip(messages(theirs)) {
                compared += compare(ours, theirs, &name);
                let mut state = theirs["state"].clone();
                if let Some(fields) = state.as_object_mut() {
                    // A name instead of a number, one table instead of two, a flag that is set when sending.
                    for field in ["rt", "rtableid", "state_flags"] {
                        fields.remove(field);
                    }
                    scrub_as_sent(fields);
                    compared += compare(ours, &state, &name);
                }
            }
        }
        println!("{system} {capture}: {compared} values compared");
        assert!(compared > 300, "{system} {capture}: {compared}");
    }
}

/// Clears the scrub flags that are not sent.
fn scrub_as_sent(state: &mut serde_json::Map<String, Value>) {
    for side in ["src", "dst"] {
        if let Some(flags) = state.get_mut(side).and_then(|side| side["scrub"].get_mut("flags")) {
            *flags = Value::from(flags.as_u64().unwrap() & 1);
        }
    }
}

#[test]
fn filters_select_actions_states_and_creators() {
    let mixed = vectors("openbsd/gen/mixed.pcap");
    let deletes = text(&run(&["--action", "del_c"], &mixed));
    assert!(!deletes.is_empty() && deletes.lines().all(|line| line.contains(" DEL_C ")), "{deletes}");
    let one = text(&run(&["--id", "069193c1d4c4da2f"], &mixed));
    assert_eq!(one.lines().count(), 1, "{one}");
    assert!(one.contains(" INS 2: 069193c1d4c4da2f/9f49b47d"));
    let creator = text(&run(&["--creator", "9f49b47d"], &mixed));
    assert!(creator.lines().all(|line| line.contains("/9f49b47d")), "{creator}");
    for style in ["-v", "--json"] {
        let frames = text(&run(&[style, "--id", "069193c1d4c4da2f"], &mixed));
        let shown = frames.lines().filter(|line| !line.starts_with([' ', '\t'])).count();
        assert_eq!(shown, 1, "{style}: {frames}");
        assert!(frames.contains("069193c1d4c4da2f") && !frames.contains("\"messages\":[]"), "{frames}");
        assert_eq!(text(&run(&[style, "--id", "1"], &mixed)), "", "{style}");
    }
    assert_eq!(text(&run(&["-c", "1"], &mixed)).lines().filter(|line| line.starts_with("1 ")).count(), 0);
}

#[test]
fn the_exit_status_says_whether_a_packet_was_malformed() {
    let delete = [&[7, 3, 0, 1][..], &[1; 12]].concat();
    let mut wrong_ttl = packet(&frame(6, &delete));
    wrong_ttl[8] = 64;
    wrong_ttl[10..12].fill(0);
    let sum: u32 =
        wrong_ttl[..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    wrong_ttl[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut wrong_checksum = packet(&frame(6, &delete));
    wrong_checksum[13] ^= 1;
    let mut update = vec![4, 21, 0, 1];
    update.extend([0; 80]);
    update.extend([22, 0, 0, 0]);
    let cases: [(&str, Vec<u8>, i32, &str); 9] = [
        ("valid", packet(&frame(6, &delete)), 0, "DEL_C 1: 0101010101010101/01010101"),
        ("skipped", packet(&frame(6, &[99, 1, 0, 1, 0, 0, 0, 0])), 0, "skipped"),
        ("version", packet(&frame(7, &delete)), 1, "badver"),
        ("short", packet(&[6, 0, 0]), 1, "hdrops"),
        ("action", packet(&frame(5, &[17, 0, 0, 1])), 1, "badact"),
        ("length", packet(&frame(6, &[7, 3, 0, 2, 0])), 1, "badlen"),
        ("value", packet(&frame(6, &update)), 1, "badval: timeout"),
        ("ttl", wrong_ttl, 1, "badttl: 64"),
        ("checksum", wrong_checksum, 1, "badip"),
    ];
    for (name, packet, status, word) in cases {
        let file = capture(&format!("{name}.pcap"), &[packet]);
        for style in [&[][..], &["-v"], &["--json"]] {
            let output = run(style, &file);
            assert_eq!(output.status.code(), Some(status), "{name} {style:?}");
            let shown = text(&output);
            let word = if style.is_empty() { word } else { word.split([':', ' ']).next().unwrap() };
            assert!(shown.contains(word) || name == "valid", "{name} {style:?}: {shown}");
        }
    }
    assert_eq!(run(&[], Path::new("/nonexistent")).status.code(), Some(2));
    assert_eq!(run(&["--nonsense"], Path::new("x")).status.code(), Some(2));
    assert_eq!(run(&[], &write("no.pcap", b"no capture")).status.code(), Some(2));
}

#[test]
fn a_frame_of_netbsd_is_printed() {
    let mut legacy = vec![3, 2, 5, 1];
    legacy.extend([0; 16]);
    legacy.extend([0xab; 16]);
    let shown = text(&run(&[], &capture("legacy.pcap", &[packet(&legacy)])));
    assert!(shown.contains("v3 DEL_C 1: abababababababab/abababab"), "{shown}");
}

#[test]
fn pcapng_files_and_ethernet_frames_are_read() {
    let mut ethernet = vec![0x01, 0x00, 0x5e, 0, 0, 0xf0, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 100, 8, 0];
    ethernet.extend(packet(&frame(6, &[&[7, 3, 0, 1][..], &[1; 12]].concat())));
    ethernet.resize(ethernet.len().next_multiple_of(4), 0);
    let mut file = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let length = 12 + body.len() as u32;
        for part in [&kind.to_le_bytes()[..], &length.to_le_bytes(), body, &length.to_le_bytes()] {
            file.extend(part);
        }
    };
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    block(1, &words(&[1, 65535]));
    let length = ethernet.len() as u32;
    block(6, &[words(&[0, 0, 5_000_000, length, length]), ethernet].concat());
    let output = run(&[], &write("some.pcapng", &file));
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains(" vlan 100 192.0.2.9 > 224.0.0.240 v6 DEL_C 1"), "{shown}");
}

#[test]
fn the_count_option_counts_pfsync_packets_only() {
    let udp = {
        let mut packet = packet(&[0; 8]);
        packet[9] = 17;
        packet
    };
    let delete = packet(&frame(6, &[&[7, 3, 0, 1][..], &[1; 12]].concat()));
    let file = capture("count.pcap", &[udp.clone(), delete.clone(), udp, delete.clone(), delete]);
    let shown = text(&run(&["-c", "2"], &file));
    assert_eq!(shown.lines().count(), 2, "{shown}");
}

#[test]
fn an_interrupted_capture_prints_its_counts() {
    let watch = format!("ip link set lo up && exec {} --stats -i lo", env!("CARGO_BIN_EXE_pfplane-dump"));
    let listening = Command::new("unshare").args(["-n", "true"]).output();
    if !listening.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: a network namespace needs root");
        return;
    }
    let mut child = Command::new("unshare")
        .args(["-n", "sh", "-c", &watch])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    // Wait until the handler is installed: bit 1 of the mask is SIGINT.
    let catches = || {
        let status = fs::read_to_string(&status).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
        status.starts_with("Name:\tpfplane-dump")
            && u64::from_str_radix(mask.trim(), 16).unwrap_or(0) & 2 != 0
    };
    while !catches() {
        assert!(child.try_wait().unwrap().is_none(), "the process exited early");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output).starts_with("frames     0"), "{}", text(&output));
}

#[test]
fn help_explains_and_has_examples() {
    let output = Command::new(env!("CARGO_BIN_EXE_pfplane-dump")).arg("--help").output().unwrap();
    assert!(output.status.success());
    assert!(text(&output).contains("examples:") && text(&output).contains("Exit status"));
}
