//! `creds` files: a user's token and seed in one text, as clients read it.

use crate::nkey::{self, KeyPair};

/// A user's token and the seed of its key.
#[derive(Clone)]
pub struct Creds {
    pub jwt: String,
    pub key: KeyPair,
}

/// What is wrong with a `creds` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("no user token between lines of dashes")]
    NoToken,
    #[error("no seed between lines of dashes")]
    NoSeed,
    #[error("seed is unusable: {0}")]
    Seed(#[from] nkey::Error),
}

impl Creds {
    /// Reads a file. Whatever stands outside the two fenced blocks is ignored.
    pub fn parse(text: &str) -> Result<Creds, Error> {
        let mut blocks = fenced(text);
        let jwt = blocks.next().ok_or(Error::NoToken)?.to_owned();
        let key = KeyPair::from_seed(blocks.next().ok_or(Error::NoSeed)?)?;
        Ok(Creds { jwt, key })
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\n\
             {}\n\
             ------END NATS USER JWT------\n\
             \n\
             ************************* IMPORTANT *************************\n\
             The seed below proves to be this user. Keep it as secret as a password.\n\
             \n\
             -----BEGIN USER NKEY SEED-----\n\
             {}\n\
             ------END USER NKEY SEED------\n\
             \n\
             *************************************************************\n",
            self.jwt,
            self.key.seed(),
        )
    }
}

/// The token in a text: the first fenced block, or the whole text where there is none. Operator
/// and account tokens come in both forms.
pub fn token_in(text: &str) -> &str {
    fenced(text).next().unwrap_or(text.trim())
}

impl std::fmt::Debug for Creds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Creds")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// The single lines that stand between two lines of dashes.
fn fenced(text: &str) -> impl Iterator<Item = &str> {
    let mut lines = text.lines().map(str::trim);
    std::iter::from_fn(move || {
        while let Some(line) = lines.next() {
            if !is_fence(line) {
                continue;
            }
            let content = lines.next()?;
            if lines.next().is_some_and(is_fence) {
                return Some(content);
            }
        }
        None
    })
}

fn is_fence(line: &str) -> bool {
    line.len() > 6 && line.starts_with("---") && line.ends_with("---")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nkey::Kind;

    fn creds() -> Creds {
        Creds {
            jwt: "a.b.c".to_owned(),
            key: KeyPair::from_entropy(Kind::User, [9; 32]),
        }
    }

    #[test]
    fn written_files_are_read() {
        let text = creds().to_text();
        for text in [
            text.clone(),
            text.replace('\n', "\r\n"),
            format!("  {text}  "),
        ] {
            let read = Creds::parse(&text).expect("a valid file");
            assert_eq!(read.jwt, "a.b.c");
            assert_eq!(read.key.public_key(), creds().key.public_key());
        }
    }

    #[test]
    fn incomplete_files_are_refused() {
        let text = creds().to_text();
        assert_eq!(Creds::parse("").err(), Some(Error::NoToken));
        assert_eq!(Creds::parse("a.b.c").err(), Some(Error::NoToken));
        let (token_only, _) = text.split_once("****").expect("a separator");
        assert_eq!(Creds::parse(token_only).err(), Some(Error::NoSeed));
        let damaged = text.replace("\nSU", "\nSUX");
        assert_eq!(
            Creds::parse(&damaged).err(),
            Some(Error::Seed(nkey::Error::Seed))
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let creds = creds();
        assert!(!format!("{creds:?}").contains(&creds.key.seed()));
    }
}
