//! Keys of operators, accounts, users and servers: Ed25519 in a notation that says whose it is.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use nkeys::KeyPairType;

/// Whose key it is. The first letter of a public key tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Operator,
    Account,
    User,
    Server,
    Cluster,
}

impl Kind {
    /// The first letter of public keys of this kind.
    pub fn letter(self) -> char {
        match self {
            Kind::Operator => 'O',
            Kind::Account => 'A',
            Kind::User => 'U',
            Kind::Server => 'N',
            Kind::Cluster => 'C',
        }
    }

    /// Whether `key` is a well-formed public key of this kind.
    pub fn is_public_key(self, key: &str) -> bool {
        key.starts_with(self.letter()) && nkeys::KeyPair::from_public_key(key).is_ok()
    }

    fn pair_type(self) -> KeyPairType {
        match self {
            Kind::Operator => KeyPairType::Operator,
            Kind::Account => KeyPairType::Account,
            Kind::User => KeyPairType::User,
            Kind::Server => KeyPairType::Server,
            Kind::Cluster => KeyPairType::Cluster,
        }
    }
}

/// What is wrong with a key or a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("not a valid public key")]
    PublicKey,
    #[error("not a valid seed; seeds are 58 characters and start with SO, SA, SU, SN or SC")]
    Seed,
    #[error("signature is not valid base64")]
    SignatureEncoding,
    #[error("signature does not match")]
    Signature,
}

/// A key that can sign. Its secret stays out of `Debug`.
#[derive(Clone)]
pub struct KeyPair {
    pair: nkeys::KeyPair,
}

impl KeyPair {
    /// A new key out of 32 random bytes, which must come from a secure source.
    pub fn from_entropy(kind: Kind, entropy: [u8; 32]) -> KeyPair {
        // The only failure the library has is one of parsing, and nothing is parsed here.
        let pair = nkeys::KeyPair::new_from_raw(kind.pair_type(), entropy)
            .expect("32 bytes always make a key");
        KeyPair { pair }
    }

    /// Reads a seed, such as `SU…`.
    pub fn from_seed(seed: &str) -> Result<KeyPair, Error> {
        // Other prefixes would silently become keys of another kind.
        let known = ["SO", "SA", "SU", "SN", "SC"]
            .iter()
            .any(|prefix| seed.starts_with(prefix));
        let pair = nkeys::KeyPair::from_seed(seed).map_err(|_| Error::Seed)?;
        if known {
            Ok(KeyPair { pair })
        } else {
            Err(Error::Seed)
        }
    }

    /// The public key, such as `U…`.
    pub fn public_key(&self) -> String {
        self.pair.public_key()
    }

    /// The seed, which is secret.
    pub fn seed(&self) -> String {
        self.pair.seed().expect("both constructors keep the seed")
    }

    /// The Ed25519 signature of a message, 64 bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair
            .sign(message)
            .expect("both constructors keep the secret key")
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KeyPair").field(&self.public_key()).finish()
    }
}

/// Checks a signature by the owner of `public_key`.
pub fn verify(public_key: &str, message: &[u8], signature: &[u8]) -> Result<(), Error> {
    let key = nkeys::KeyPair::from_public_key(public_key).map_err(|_| Error::PublicKey)?;
    key.verify(message, signature).map_err(|_| Error::Signature)
}

/// Checks the signature of a nonce as clients send it: base64, URL-safe or not.
pub fn verify_nonce(public_key: &str, nonce: &[u8], signature: &str) -> Result<(), Error> {
    let decoded = URL_SAFE_NO_PAD
        .decode(signature)
        .or_else(|_| STANDARD.decode(signature))
        .map_err(|_| Error::SignatureEncoding)?;
    verify(public_key, nonce, &decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_show_in_keys_and_seeds() {
        for (kind, letter) in [
            (Kind::Operator, 'O'),
            (Kind::Account, 'A'),
            (Kind::User, 'U'),
            (Kind::Server, 'N'),
            (Kind::Cluster, 'C'),
        ] {
            let pair = KeyPair::from_entropy(kind, [7; 32]);
            let public = pair.public_key();
            assert!(kind.is_public_key(&public));
            assert!(pair.seed().starts_with(&format!("S{letter}")));
            let again = KeyPair::from_seed(&pair.seed()).expect("its own seed");
            assert_eq!(again.public_key(), public);
            assert!(!format!("{pair:?}").contains(&pair.seed()));
        }
        let user = KeyPair::from_entropy(Kind::User, [7; 32]).public_key();
        assert!(!Kind::Account.is_public_key(&user));
        assert!(!Kind::User.is_public_key(&user[1..]));
        assert!(!Kind::User.is_public_key("U"));
    }

    #[test]
    fn signatures() {
        let pair = KeyPair::from_entropy(Kind::User, [1; 32]);
        let other = KeyPair::from_entropy(Kind::User, [2; 32]);
        let signature = pair.sign(b"nonce");
        assert_eq!(verify(&pair.public_key(), b"nonce", &signature), Ok(()));
        assert_eq!(
            verify(&pair.public_key(), b"other", &signature),
            Err(Error::Signature)
        );
        assert_eq!(
            verify(&other.public_key(), b"nonce", &signature),
            Err(Error::Signature)
        );
        assert_eq!(
            verify("Unot-a-key", b"nonce", &signature),
            Err(Error::PublicKey)
        );
        assert_eq!(
            verify(&pair.public_key(), b"nonce", &[0; 3]),
            Err(Error::Signature)
        );
        for encoded in [
            URL_SAFE_NO_PAD.encode(&signature),
            STANDARD.encode(&signature),
        ] {
            assert_eq!(verify_nonce(&pair.public_key(), b"nonce", &encoded), Ok(()));
        }
        let garbage = verify_nonce(&pair.public_key(), b"nonce", "?");
        assert_eq!(garbage, Err(Error::SignatureEncoding));
    }

    #[test]
    fn seeds_of_other_kinds_are_refused() {
        assert!(KeyPair::from_seed("").is_err());
        assert!(KeyPair::from_seed("SUAAAA").is_err());
        let curve = nkeys::KeyPair::new_from_raw(KeyPairType::Curve, [3; 32]).expect("a key");
        assert_eq!(
            KeyPair::from_seed(&curve.seed().expect("a seed")).err(),
            Some(Error::Seed)
        );
    }
}
