//! AES-256-GCM, as GMAC for frames that are only signed, and the subkeys for it. Alone names the crates of the cryptography.

use super::keys::SealKey;
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{Aes256Gcm, KeyInit};
use core::fmt;
use hkdf::Hkdf;
use pfsync::{Protection, TAG_BYTES, TrailerFields};
use sha2::Sha256;
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 12;
const LABEL: &[u8] = b"pfplane seal 1";

/// A random number of 128 bits that a node draws when it starts.
pub(super) type Epoch = [u8; 16];

/// Returns the nonce of a frame: its number and the sender's clock.
pub(super) const fn nonce_of(fields: &TrailerFields) -> [u8; NONCE_BYTES] {
    let [a, b, c, d, e, f, g, h] = fields.sequence.to_be_bytes();
    let [i, j, k, l] = fields.clock.to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

/// A subkey of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SubkeyId {
    /// The key that it is derived from.
    key: u8,
    /// Signed and encrypted frames have different ones.
    protection: Protection,
    /// High half of the numbers that it is for.
    high: u32,
}

impl SubkeyId {
    /// Returns what distinguishes the subkey of a frame from others of its stream.
    pub(super) const fn of(fields: &TrailerFields) -> Self {
        Self { key: fields.key, protection: fields.protection, high: (fields.sequence >> 32) as u32 }
    }
}

/// The sender of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub epoch: Epoch,
    /// The sender's host id.
    pub creator: u32,
}

impl Origin {
    /// The half of the epoch that is in every trailer.
    pub(super) const fn half(&self) -> u64 {
        let (half, _) = halves(&self.epoch);
        half
    }
}

/// Both halves of an epoch.
pub(super) const fn halves(epoch: &Epoch) -> (u64, u64) {
    let number = u128::from_be_bytes(*epoch);
    ((number >> 64) as u64, number as u64)
}

/// A subkey, ready for use. It is wiped when it is dropped.
pub(super) struct Cipher(Aes256Gcm);

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

impl Cipher {
    /// Derives the subkey of a frame. Cost: about a microsecond.
    pub(super) fn derive(key: &SealKey, origin: &Origin, frame: &TrailerFields) -> Self {
        let mut subkey = Zeroizing::new([0; 32]);
        let info: [&[u8]; 5] = [
            LABEL,
            &origin.creator.to_be_bytes(),
            &[frame.key, frame.protection as u8, frame.flow, frame.lane],
            &SubkeyId::of(frame).high.to_be_bytes(),
            &[],
        ];
        expand(&origin.epoch, key.secret(), &info, &mut *subkey);
        Self(Aes256Gcm::new((&*subkey).into()))
    }

    /// Encrypts `text`, which is empty in a frame that is only signed. Returns the tag over `covered` and the encrypted text.
    pub(super) fn encrypt(
        &self,
        nonce: &[u8; NONCE_BYTES],
        covered: &[u8],
        text: &mut [u8],
    ) -> [u8; TAG_BYTES] {
        // Fails only for more than 2^36 bytes.
        let tag = self.0.encrypt_inout_detached(nonce.into(), covered, InOutBuf::from(text));
        tag.expect("a frame is shorter than 2^36 bytes").into()
    }

    /// Decrypts `text` if `tag` is that of `covered` and `text`, compared in constant time. Returns whether it is.
    pub(super) fn decrypt(
        &self,
        nonce: &[u8; NONCE_BYTES],
        covered: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> bool {
        self.0.decrypt_inout_detached(nonce.into(), covered, InOutBuf::from(text), tag.into()).is_ok()
    }
}

/// HKDF-SHA-256: fills `output`, at most 8160 bytes, from a secret, a salt and what it is for.
pub(super) fn expand(salt: &[u8], secret: &[u8], info: &[&[u8]], output: &mut [u8]) {
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand_multi_info(info, output)
        .expect("the output is shorter than HKDF's limit");
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Cipher {
        fn tag(&self, nonce: &[u8; NONCE_BYTES], covered: &[u8]) -> [u8; TAG_BYTES] {
            self.encrypt(nonce, covered, &mut [])
        }

        fn verify(&self, nonce: &[u8; NONCE_BYTES], covered: &[u8], tag: &[u8; TAG_BYTES]) -> bool {
            self.decrypt(nonce, covered, &mut [], tag)
        }
    }

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        let digit = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        assert_eq!(hex.len(), 2 * N);
        core::array::from_fn(digit)
    }

    #[test]
    fn tags_are_those_of_the_published_gmac_vectors() {
        // McGrew and Viega's AES-256 test case 13: nothing at all is authenticated.
        let zero = Cipher(Aes256Gcm::new(&[0; 32].into()));
        assert_eq!(zero.tag(&[0; 12], &[]), bytes("530f8afbc74536b9a963b4f1c4cb738b"));
        // NIST CAVP gcmEncryptExtIV256, Keylen 256, IVlen 96, PTlen 0, AADlen 128, count 0.
        let key: [u8; 32] = bytes("78dc4e0aaf52d935c3c01eea57428f00ca1fd475f5da86a49c8dd73d68c8e223");
        let cipher = Cipher(Aes256Gcm::new(&key.into()));
        let (nonce, covered) =
            (bytes("d79cf22d504cc793c3fb6c8a"), bytes::<16>("b96baa8c1c75a671bfb2d08d06be5f36"));
        let tag = bytes("3e5d486aa2e30b22e040b85723a06e76");
        assert_eq!(cipher.tag(&nonce, &covered), tag);
        assert!(cipher.verify(&nonce, &covered, &tag));
    }

    #[test]
    fn subkeys_are_derived_as_rfc_5869_says() {
        // Test case 1 of RFC 5869.
        let mut output = [0; 42];
        let info: [u8; 10] = core::array::from_fn(|n| 0xf0 + n as u8);
        let salt: [u8; 13] = core::array::from_fn(|n| n as u8);
        expand(&salt, &[0x0b; 22], &[&info[..4], &info[4..]], &mut output);
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
        assert_eq!(output, bytes(expected));
    }

    #[test]
    fn each_part_of_a_streams_name_changes_its_subkey() {
        let key = |id, byte| SealKey::new(id, &[byte; 32]).unwrap();
        let origin = Origin { epoch: [1; 16], creator: 7 };
        let frame =
            TrailerFields { key: 1, flow: 2, lane: 3, epoch: 4, sequence: 5, clock: 6, ..Default::default() };
        let tag = |key: &SealKey, origin: Origin, frame: TrailerFields| {
            Cipher::derive(key, &origin, &frame).tag(&[0; 12], b"frame")
        };
        let tags = [
            tag(&key(1, 9), origin, frame),
            tag(&key(1, 8), origin, frame),
            tag(&key(1, 9), Origin { epoch: [2; 16], ..origin }, frame),
            tag(&key(1, 9), Origin { creator: 8, ..origin }, frame),
            tag(&key(1, 9), origin, TrailerFields { key: 2, ..frame }),
            tag(&key(1, 9), origin, TrailerFields { flow: 3, ..frame }),
            tag(&key(1, 9), origin, TrailerFields { lane: 2, ..frame }),
            tag(&key(1, 9), origin, TrailerFields { protection: Protection::Gcm, ..frame }),
            tag(&key(1, 9), origin, TrailerFields { sequence: 1 << 32, ..frame }),
        ];
        for (index, one) in tags.iter().enumerate() {
            assert!(tags[..index].iter().all(|other| other != one), "{index}");
        }
        assert_eq!(tag(&key(1, 9), origin, TrailerFields { sequence: 6, clock: 1, ..frame }), tags[0]);
    }

    #[test]
    fn every_changed_bit_of_nonce_bytes_or_tag_is_refused() {
        let key = SealKey::new(1, &[5; 32]).unwrap();
        let origin = Origin { epoch: [1; 16], creator: 7 };
        let frame =
            TrailerFields { key: 1, flow: 0, lane: 0, epoch: 4, sequence: 5, clock: 6, ..Default::default() };
        let cipher = Cipher::derive(&key, &origin, &frame);
        let (nonce, covered) = (nonce_of(&frame), [3; 61]);
        let tag = cipher.tag(&nonce, &covered);
        assert!(cipher.verify(&nonce, &covered, &tag));
        let flipped = |bytes: &[u8], bit: usize| {
            let mut bytes = bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        for bit in 0..8 * 61 {
            assert!(!cipher.verify(&nonce, &flipped(&covered, bit), &tag));
        }
        for bit in 0..8 * 16 {
            assert!(!cipher.verify(&nonce, &covered, &flipped(&tag, bit).try_into().unwrap()));
        }
        for bit in 0..8 * 12 {
            assert!(!cipher.verify(&flipped(&nonce, bit).try_into().unwrap(), &covered, &tag));
        }
        assert!(!cipher.verify(&nonce, &covered[..60], &tag));
    }

    #[test]
    fn a_text_is_encrypted_as_in_the_published_gcm_vector_and_no_edit_of_it_is_decrypted() {
        // McGrew and Viega's AES-256 test case 14.
        let zero = Cipher(Aes256Gcm::new(&[0; 32].into()));
        let mut text = [0; 16];
        let tag = zero.encrypt(&[0; 12], &[], &mut text);
        assert_eq!(text, bytes("cea7403d4d606b6e074ec5d3baf39d18"));
        assert_eq!(tag, bytes("d0d1c8a799996bf0265b98b5d48ab919"));
        for bit in 0..8 * 16 {
            let mut edited = text;
            edited[bit / 8] ^= 1 << (bit % 8);
            let before = edited;
            assert!(!zero.decrypt(&[0; 12], &[], &mut edited, &tag));
            assert_eq!(edited, before, "nothing of a forged text is decrypted");
        }
        assert!(!zero.decrypt(&[0; 12], b"other", &mut text, &tag));
        assert!(zero.decrypt(&[0; 12], &[], &mut text, &tag));
        assert_eq!(text, [0; 16]);
    }
}
