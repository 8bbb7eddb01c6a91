//! Seals of captured frames: what is known of them without keys, and with the keys of a file.

use std::collections::HashMap;
use std::fmt;

use pfplane::internals::seal::{SealHello, SealKey, SealedFrame, open_recorded};
use pfsync::envelope::{Address, Envelope};
use pfsync::{HEADER_BYTES, Protection, TAG_BYTES, TRAILER_BYTES, Trailer, option_kind, reveal_body};

/// The seal of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Its records and options are encrypted.
    pub is_encrypted: bool,
    /// What the keys show of it.
    pub verdict: Verdict,
}

/// What the keys show of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There are no keys, or the capture lacks a part of the packet.
    Unknown,
    /// The tag is right.
    Genuine,
    /// The tag is wrong: the frame was forged or changed, or the key of this number is another one.
    Forged,
    /// The file has no key with this number.
    NoKey(u8),
    /// No hello of the sender's run was captured before, so its keys are not known.
    NoHello,
}

impl Seal {
    /// Returns whether the records are readable.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        !self.is_encrypted || self.verdict == Verdict::Genuine
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_encrypted { "encrypted" } else { "sealed" })?;
        match self.verdict {
            Verdict::Unknown => Ok(()),
            Verdict::Genuine => f.write_str(", genuine"),
            Verdict::Forged => f.write_str(", forged"),
            Verdict::NoKey(id) => write!(f, ", key {id} is not in the file"),
            Verdict::NoHello => f.write_str(", no hello of this run before"),
        }
    }
}

/// Keys, and the runs of nodes whose hellos were captured.
#[derive(Debug, Default)]
pub struct Keys {
    keys: Vec<SealKey>,
    /// Of each run, by the half of its epoch that trailers carry: the other half, and the node's host id.
    runs: HashMap<u64, (u64, u32)>,
}

impl Keys {
    /// Reads the file of the example firewall: a line is a number and 64 hex digits; `#` begins a comment.
    ///
    /// # Errors
    /// Which line is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        let lines = text.lines().map(str::trim).enumerate();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let key = parse_key(line).map_err(|error| format!("line {}: {error}", number + 1))?;
            keys.push(key);
        }
        if keys.is_empty() { Err("no key is in it".to_owned()) } else { Ok(Self { keys, ..Self::default() }) }
    }

    /// Verifies a whole packet. Returns also the payload of one that was encrypted, as that of a signed one.
    pub fn open(
        &mut self,
        packet: &[u8],
        envelope: &Envelope,
        trailer: &Trailer<'_>,
    ) -> (Verdict, Option<Vec<u8>>) {
        let fields = trailer.fields();
        let hello = trailer.options().flatten().find(|option| option.kind == option_kind::HELLO);
        let hello = hello.and_then(|option| SealHello::parse(option.value));
        let named = hello.map(|hello| (hello.epoch, hello.creator));
        let Some(key) = self.keys.iter().find(|key| key.id() == fields.key) else {
            return (Verdict::NoKey(fields.key), None);
        };
        let Some(run) = named.or_else(|| self.runs.get(&fields.epoch).copied()) else {
            return (Verdict::NoHello, None);
        };
        let mut packet = packet[..envelope.payload.end].to_vec();
        let addresses = match envelope.source {
            Address::V4(_) => 12,
            Address::V6(_) => 8,
        };
        let text_at = match fields.protection {
            Protection::Gcm => envelope.payload.start + HEADER_BYTES + TRAILER_BYTES,
            Protection::Gmac | Protection::None => packet.len() - TAG_BYTES,
        };
        let (covered, rest) = packet.split_at_mut(text_at);
        let Some((text, tag)) = rest.split_last_chunk_mut() else { return (Verdict::Forged, None) };
        let frame =
            SealedFrame { fields: *fields, covered: &covered[addresses..], tag, hello: None, echoes: &[] };
        if !open_recorded(key, run, &frame, text) {
            return (Verdict::Forged, None);
        }
        self.runs.insert(fields.epoch, run);
        let mut payload = packet.split_off(envelope.payload.start);
        let is_revealed = fields.protection == Protection::Gcm && reveal_body(&mut payload);
        (Verdict::Genuine, is_revealed.then_some(payload))
    }
}

fn parse_key(line: &str) -> Result<SealKey, String> {
    let (id, hex) = line.split_once([' ', '\t']).ok_or("not a number from 1 to 255 and a key")?;
    let id: u8 = id.parse().map_err(|_| "not a number from 1 to 255 and a key")?;
    let digits: Option<Vec<u8>> = hex.trim().chars().map(|c| Some(c.to_digit(16)? as u8)).collect();
    let digits = digits.filter(|digits| digits.len() == 64).ok_or("the key must have 64 hex digits")?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    SealKey::new(id, &bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_keys_is_read_and_a_wrong_line_is_named() {
        let hex = "0f".repeat(32);
        let keys = Keys::parse(&format!("# next\n\n2 {hex}\n1\t{hex}  \n")).unwrap();
        assert_eq!(keys.keys.iter().map(SealKey::id).collect::<Vec<_>>(), [2, 1]);
        for (text, why) in [
            (String::new(), "no key"),
            (format!("1 {hex}\n1234"), "line 2: not a number"),
            (format!("256 {hex}"), "line 1: not a number"),
            (format!("1 {hex}0"), "64 hex digits"),
            (format!("1 {}", "0".repeat(64)), "zeros only"),
        ] {
            let error = Keys::parse(&text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
