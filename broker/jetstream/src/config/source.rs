//! The origin of a mirror or source: what tells it from others, and what it marks messages with.

use sha2::{Digest, Sha256};

use super::StreamSource;
use subject::{Transform, TransformError};

/// Separates the several filters of one source in keys and headers.
const BETWEEN_FILTERS: &str = "\x0c";
/// Letters of a hash.
const HASH_LENGTH: usize = 8;

impl StreamSource {
    /// Tells the sources of one stream apart: origin, filters and what they are rewritten to.
    pub fn key(&self) -> String {
        let (filters, destinations) = self.routes();
        format!("{} {filters} {destinations}", self.origin())
    }

    /// The origin's name. One in another account or domain carries a hash of its API's prefix, one that
    /// is read through a consumer that a person made carries a hash of that consumer's name.
    pub(super) fn origin(&self) -> String {
        let mut origin = self.name.clone();
        if let Some(external) = &self.external {
            origin = format!("{origin}:{}", short_hash(external.api.as_bytes()));
        }
        if let Some(consumer) = &self.consumer {
            origin = format!("{origin}:C={}", short_hash(consumer.name.as_bytes()));
        }
        origin
    }

    /// Whether all messages of a stream of the same account are copied, under their own subjects.
    pub fn is_whole(&self) -> bool {
        self.external.is_none()
            && self.filter_subject.is_empty()
            && self.subject_transforms.is_empty()
            && self.consumer.is_none()
            && self.opt_start_seq == 0
            && self.opt_start_time.is_none()
    }

    fn routes(&self) -> (String, String) {
        let or_all = |text: &str| match text {
            "" => ">".to_owned(),
            text => text.to_owned(),
        };
        if self.subject_transforms.is_empty() {
            return (or_all(&self.filter_subject), ">".to_owned());
        }
        let rewrites = || self.subject_transforms.iter();
        let filters: Vec<String> = rewrites().map(|rewrite| or_all(&rewrite.src)).collect();
        let destinations: Vec<String> = rewrites().map(|rewrite| or_all(&rewrite.dest)).collect();
        (
            filters.join(BETWEEN_FILTERS),
            destinations.join(BETWEEN_FILTERS),
        )
    }

    /// The value of `Nats-Stream-Source` on a message that was copied: origin, sequence there,
    /// filters, destinations, subject there, and which stream of that name it was.
    pub fn header(&self, seq: u64, subject: &[u8], identity: &str) -> Vec<u8> {
        let (filters, destinations) = self.routes();
        let mut value = format!("{} {seq} {filters} {destinations} ", self.origin()).into_bytes();
        value.extend_from_slice(subject);
        if !identity.is_empty() {
            value.push(b' ');
            value.extend_from_slice(identity.as_bytes());
        }
        value
    }

    /// The subjects wanted of the origin; empty for all.
    pub fn filters(&self) -> Vec<&str> {
        let rewrites = self.subject_transforms.iter();
        std::iter::once(&self.filter_subject)
            .chain(rewrites.map(|rewrite| &rewrite.src))
            .filter(|filter| !filter.is_empty())
            .map(String::as_str)
            .collect()
    }

    /// How subjects are rewritten.
    ///
    /// # Errors
    /// A rewrite is impossible; validation refuses such a source.
    pub fn transforms(&self) -> Result<Vec<Transform>, TransformError> {
        let rewrites = self.subject_transforms.iter();
        rewrites
            .map(|rewrite| Transform::new(&rewrite.src, &rewrite.dest))
            .collect()
    }
}

/// Eight letters and digits that stand for a text.
pub fn short_hash(text: &[u8]) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let hash = Sha256::digest(text);
    let letters = hash.iter().take(HASH_LENGTH);
    letters
        .map(|byte| char::from(DIGITS[usize::from(byte % 62)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{External, SourceConsumer, SubjectTransform};

    #[test]
    fn a_source_is_known_by_origin_filters_and_destinations() {
        let mut source = StreamSource {
            name: "O".to_owned(),
            ..StreamSource::default()
        };
        assert_eq!(source.key(), "O > >");
        assert!(source.is_whole());
        assert_eq!(source.header(5, b"o.1", "id"), b"O 5 > > o.1 id");
        source.filter_subject = "o.1".to_owned();
        assert_eq!(source.key(), "O o.1 >");
        assert!(!source.is_whole());
        source.filter_subject = String::new();
        for (src, dest) in [("o.0", "z.0"), ("o.2", "")] {
            let (src, dest) = (src.to_owned(), dest.to_owned());
            source
                .subject_transforms
                .push(SubjectTransform { src, dest });
        }
        assert_eq!(source.header(4, b"o.0", ""), b"O 4 o.0\x0co.2 z.0\x0c> o.0");
        assert_eq!(source.filters(), ["o.0", "o.2"]);
        source.external = Some(External::default());
        assert!(source.key().starts_with("O:"));
        source.external = None;
        source.consumer = Some(SourceConsumer {
            name: "D".to_owned(),
            ..SourceConsumer::default()
        });
        assert!(source.key().starts_with("O:C=1vR9AhxX "));
    }
}
