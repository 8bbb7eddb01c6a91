//! CARP's advert: 36 bytes behind the IP header, authenticated with HMAC-SHA1 (`protocol` section 8).

use crate::packet::checksum::checksum;
use core::net::IpAddr;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Length of an advert. What follows it is ignored, as all implementations do.
pub const ADVERT_BYTES: usize = 36;
/// Maximum length of a pass-phrase.
pub const MAX_PASSPHRASE: usize = 19;

const VERSION: u8 = 2;
const ADVERTISEMENT: u8 = 1;
/// Length of counter and digest in words.
const AUTH_WORDS: u8 = 7;

/// What an advert says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The group on its network.
    pub id: u8,
    /// Skew in 1/256 seconds.
    pub skew: u8,
    /// OpenBSD's demotion.
    pub demotion: u8,
    /// Base in seconds.
    pub base: u8,
    /// The sender's counter.
    pub counter: u64,
}

/// Why bytes are no advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Too short.
    Length,
    /// Another version.
    Version,
    /// The checksum is wrong.
    Checksum,
}

/// Reads an advert without its digest. Type and length of the authentication are not checked, as in the kernels.
pub fn parse(payload: &[u8]) -> Result<Advert, Fault> {
    let bytes: &[u8; ADVERT_BYTES] = payload.first_chunk().ok_or(Fault::Length)?;
    if bytes[0] >> 4 != VERSION {
        return Err(Fault::Version);
    }
    if checksum(bytes).get() != 0 {
        return Err(Fault::Checksum);
    }
    let (_, counter) = bytes[..16].split_last_chunk().expect("16 bytes end in 8");
    Ok(Advert {
        id: bytes[1],
        skew: bytes[2],
        demotion: bytes[4],
        base: bytes[5],
        counter: u64::from_be_bytes(*counter),
    })
}

/// Writes an advert with its digest.
pub fn write(advert: &Advert, authenticator: &Authenticator) -> [u8; ADVERT_BYTES] {
    let mut bytes = [0; ADVERT_BYTES];
    let head =
        [VERSION << 4 | ADVERTISEMENT, advert.id, advert.skew, AUTH_WORDS, advert.demotion, advert.base];
    bytes[..6].copy_from_slice(&head);
    bytes[8..16].copy_from_slice(&advert.counter.to_be_bytes());
    bytes[16..].copy_from_slice(&authenticator.digest(advert.counter));
    let sum = checksum(&bytes).0;
    bytes[6..8].copy_from_slice(&sum);
    bytes
}

/// Makes and verifies digests. All of the message but the counter is known beforehand, so that part is hashed once.
#[derive(Clone)]
pub struct Authenticator {
    /// With all addresses, as FreeBSD sends.
    all: Hmac<Sha1>,
    /// Without link-local addresses, as OpenBSD sends.
    routable: Hmac<Sha1>,
    sends_link_local: bool,
}

impl Authenticator {
    /// Prepares the digests for a pass-phrase of at most [`MAX_PASSPHRASE`] bytes and all addresses with one id.
    /// Sorts the addresses.
    pub fn new(passphrase: &[u8], id: u8, addresses: &mut [IpAddr], sends_link_local: bool) -> Self {
        // IPv4 before IPv6, each in numerical order.
        addresses.sort_unstable();
        let start = || {
            let mut mac = Hmac::<Sha1>::new_from_slice(passphrase).expect("HMAC takes keys of any length");
            mac.update(&[VERSION, ADVERTISEMENT, id]);
            mac
        };
        let (mut all, mut routable) = (start(), start());
        for address in addresses.iter() {
            match address {
                IpAddr::V4(v4) => [&mut all, &mut routable].map(|mac| mac.update(&v4.octets())),
                IpAddr::V6(v6) => {
                    [(&mut all, true), (&mut routable, !v6.is_unicast_link_local())].map(|(mac, counts)| {
                        if counts {
                            mac.update(&v6.octets())
                        }
                    })
                }
            };
        }
        Self { all, routable, sends_link_local }
    }

    fn digest(&self, counter: u64) -> [u8; 20] {
        let mut mac = if self.sends_link_local { self.all.clone() } else { self.routable.clone() };
        mac.update(&counter.to_be_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Whether an advert that [`parse`] accepted has a digest with our pass-phrase and addresses. Takes constant time.
    pub fn accepts(&self, payload: &[u8]) -> bool {
        let (counter, digest) = (&payload[8..16], &payload[16..ADVERT_BYTES]);
        [&self.all, &self.routable].into_iter().any(|prepared| {
            let mut mac = prepared.clone();
            mac.update(counter);
            mac.verify_slice(digest).is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    fn addresses(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|address| address.parse().unwrap()).collect()
    }

    const COUNTER: u64 = 0x0011_2233_4455_6677;
    const ADVERT: Advert = Advert { id: 1, skew: 0, demotion: 0, base: 1, counter: COUNTER };
    const BYTES: &str = "210100070001fcf7001122334455667772126293cb3db95c0a79aeada193b58a8a362132";

    #[test]
    fn an_advert_has_the_bytes_that_other_systems_send() {
        let authenticator = Authenticator::new(b"foo", 1, &mut addresses(&["10.0.0.1"]), false);
        assert_eq!(write(&ADVERT, &authenticator).as_slice(), hex(BYTES));
        assert_eq!(parse(&hex(BYTES)), Ok(ADVERT));
        assert!(authenticator.accepts(&hex(BYTES)));
    }

    #[test]
    fn the_digest_covers_all_addresses_in_any_order() {
        let one = ["10.0.0.1", "192.168.0.1", "9.9.9.9", "2001:db8::1"];
        let other = ["2001:db8::1", "9.9.9.9", "192.168.0.1", "10.0.0.1"];
        for list in [one, other] {
            let authenticator = Authenticator::new(b"foo", 1, &mut addresses(&list), false);
            assert_eq!(
                authenticator.digest(COUNTER).as_slice(),
                hex("beb12b1c852aabbc5292e8f7b58dea5134f05c17")
            );
        }
    }

    #[test]
    fn link_local_addresses_are_sent_by_dialect_and_accepted_both_ways() {
        let list = addresses(&["2001:db8::1", "fe80::1"]);
        let [openbsd, freebsd] =
            [false, true].map(|sends| Authenticator::new(b"x", 1, &mut list.clone(), sends));
        let [from_openbsd, from_freebsd] = [&openbsd, &freebsd].map(|sender| write(&ADVERT, sender));
        assert_ne!(from_openbsd, from_freebsd);
        for receiver in [&openbsd, &freebsd] {
            assert!(receiver.accepts(&from_openbsd) && receiver.accepts(&from_freebsd));
        }
    }

    #[test]
    fn another_passphrase_id_address_or_counter_is_not_authentic() {
        let ours = Authenticator::new(b"foo", 1, &mut addresses(&["10.0.0.1"]), false);
        for other in [
            Authenticator::new(b"fop", 1, &mut addresses(&["10.0.0.1"]), false),
            Authenticator::new(b"foo", 2, &mut addresses(&["10.0.0.1"]), false),
            Authenticator::new(b"foo", 1, &mut addresses(&["10.0.0.2"]), false),
        ] {
            assert!(!ours.accepts(&write(&ADVERT, &other)));
        }
        let mut counted = hex(BYTES);
        counted[15] ^= 1;
        assert!(!ours.accepts(&counted));
    }

    #[test]
    fn damaged_adverts_are_refused_by_cause_and_trailing_bytes_ignored() {
        let bytes = hex(BYTES);
        for length in 0..ADVERT_BYTES {
            assert_eq!(parse(&bytes[..length]), Err(Fault::Length));
        }
        let mut flipped = bytes.clone();
        flipped[2] ^= 1;
        assert_eq!(parse(&flipped), Err(Fault::Checksum));
        flipped[0] = 0x31;
        assert_eq!(parse(&flipped), Err(Fault::Version));
        assert_eq!(parse(&[bytes, vec![7; 40]].concat()), Ok(ADVERT));
    }
}
