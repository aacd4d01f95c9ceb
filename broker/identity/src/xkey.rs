//! Curve keys: what is sealed with one can be opened by one other only.
//!
//! A sealed message is `xkv1`, a nonce, and a box as NaCl makes it (X25519, XSalsa20, Poly1305). Both
//! keys are needed to make and to open one, so opening tells who sealed it, too.

use crypto_box::aead::Aead;
use crypto_box::{PublicKey, SalsaBox, SecretKey};
use data_encoding::BASE32_NOPAD;

const VERSION: &[u8] = b"xkv1";
/// Random bytes that a box needs.
pub const NONCE_BYTES: usize = 24;
/// The first byte of an encoded public key: it makes the first letter an `X`.
const PREFIX: u8 = 23 << 3;
const KEY_BYTES: usize = 32;

/// What is wrong with a key or a sealed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("not a valid public curve key; they are 56 characters and start with X")]
    PublicKey,
    #[error("message is not sealed, or in a way that is not known")]
    Form,
    #[error("message cannot be opened: it was sealed with other keys")]
    Sealed,
}

/// A key that can seal and open. Its secret stays out of `Debug`.
#[derive(Clone)]
pub struct XKey {
    secret: SecretKey,
}

impl XKey {
    /// A new key out of 32 random bytes, which must come from a secure source.
    pub fn from_entropy(entropy: [u8; KEY_BYTES]) -> XKey {
        XKey {
            secret: SecretKey::from(entropy),
        }
    }

    /// The public key, such as `X…`.
    pub fn public_key(&self) -> String {
        let mut raw = vec![PREFIX];
        raw.extend_from_slice(self.secret.public_key().as_bytes());
        raw.extend_from_slice(&checksum(&raw).to_le_bytes());
        BASE32_NOPAD.encode(&raw)
    }

    /// Seals a message for the owner of a public key. The nonce must never have been used before
    /// between the two.
    pub fn seal(
        &self,
        message: &[u8],
        recipient: &str,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<Vec<u8>, Error> {
        let shared = SalsaBox::new(&public(recipient)?, &self.secret);
        let sealed = shared
            .encrypt(&nonce.into(), message)
            .map_err(|_| Error::Sealed)?;
        Ok([VERSION, &nonce, &sealed].concat())
    }

    /// Opens a message that the owner of a public key sealed for this one.
    pub fn open(&self, sealed: &[u8], sender: &str) -> Result<Vec<u8>, Error> {
        let rest = sealed.strip_prefix(VERSION).ok_or(Error::Form)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(Error::Form)?;
        let shared = SalsaBox::new(&public(sender)?, &self.secret);
        shared
            .decrypt(&(*nonce).into(), sealed)
            .map_err(|_| Error::Sealed)
    }
}

impl std::fmt::Debug for XKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("XKey").field(&self.public_key()).finish()
    }
}

fn public(key: &str) -> Result<PublicKey, Error> {
    let raw = BASE32_NOPAD
        .decode(key.as_bytes())
        .map_err(|_| Error::PublicKey)?;
    let (covered, sum) = raw.split_last_chunk::<2>().ok_or(Error::PublicKey)?;
    match covered {
        [PREFIX, key @ ..] if checksum(covered) == u16::from_le_bytes(*sum) => {
            let key: [u8; KEY_BYTES] = key.try_into().map_err(|_| Error::PublicKey)?;
            Ok(PublicKey::from(key))
        }
        _ => Err(Error::PublicKey),
    }
}

/// CRC-16 with the polynomial 0x1021, as XMODEM has it.
fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        let mut sum = sum ^ u16::from(*byte) << 8;
        for _ in 0..u8::BITS {
            let carry = sum & 0x8000 != 0;
            sum <<= 1;
            if carry {
                sum ^= 0x1021;
            }
        }
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_it_is_for_opens_it() {
        let (ann, bob, eve) = (
            XKey::from_entropy([1; 32]),
            XKey::from_entropy([2; 32]),
            XKey::from_entropy([3; 32]),
        );
        let sealed = ann
            .seal(b"hello", &bob.public_key(), [9; 24])
            .expect("sealed");
        assert!(sealed.starts_with(b"xkv1"));
        assert_eq!(
            bob.open(&sealed, &ann.public_key()).as_deref(),
            Ok(&b"hello"[..])
        );
        assert_eq!(bob.open(&sealed, &eve.public_key()), Err(Error::Sealed));
        assert_eq!(eve.open(&sealed, &ann.public_key()), Err(Error::Sealed));
        for end in 0..sealed.len() {
            assert!(bob.open(&sealed[..end], &ann.public_key()).is_err());
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(bob.open(&changed, &ann.public_key()).is_err());
        }
    }

    #[test]
    fn keys_are_written_as_other_tools_write_them() {
        // Made with the nkeys library of Go, from the seed of 32 ones.
        let key = XKey::from_entropy([1; 32]).public_key();
        assert_eq!(
            key,
            "XCSOBEUSWZI4E6FZO4WFNH27VG5RHWIGWRVLNDE57HOCWRAJ7CRATSUK"
        );
        let mut other = key.clone();
        other.replace_range(10..11, if &key[10..11] == "A" { "B" } else { "A" });
        for wrong in ["", "X", &key[1..], &other, "ÄÖ"] {
            let sealed = XKey::from_entropy([1; 32]).seal(b"", wrong, [0; 24]);
            assert_eq!(sealed, Err(Error::PublicKey));
        }
    }
}
