//! Which configurations a stream may have, and which changes.

use crate::config::StreamConfig;
use crate::error::ApiError;

mod create;
mod sources;
#[cfg(test)]
mod tests;
mod update;

pub use create::validate_create;
pub use update::{check_consumers, validate_update};

/// Most replicas of a stream.
pub const MAX_REPLICAS: i64 = 5;
/// Longest name of a stream or consumer, bytes.
pub const MAX_NAME_BYTES: usize = 255;
/// Longest description, bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 4096;
/// Most metadata, keys and values together, bytes.
pub const MAX_METADATA_BYTES: usize = 128 * 1024;
/// The duplicate window of a stream that asks for none, nanoseconds.
pub const DEFAULT_DUPLICATE_WINDOW_NS: i64 = 120_000_000_000;
/// Shortest age limit and duplicate window, nanoseconds.
pub const MIN_AGE_NS: i64 = 100_000_000;

/// Limits of the server and the account a stream lives in. Zero means no limit, unless said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Longest duplicate window, nanoseconds.
    pub max_duplicate_window_ns: i64,
    /// The account wants every stream to have `max_bytes`.
    pub max_bytes_required: bool,
    /// Most `max_bytes` of one stream in memory.
    pub memory_max_stream_bytes: i64,
    /// Most `max_bytes` of one stream on disk.
    pub store_max_stream_bytes: i64,
}

/// An existing stream, as far as a new one may collide with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamSubjects {
    pub name: String,
    pub subjects: Vec<String>,
    pub max_msg_size: i32,
    pub allow_direct: bool,
    /// The streams of this account that it mirrors or sources.
    pub origins: Vec<String>,
}

impl StreamSubjects {
    /// What others need to know of a stream.
    pub fn of(config: &StreamConfig) -> StreamSubjects {
        let origins = config.mirror.iter().chain(&config.sources);
        StreamSubjects {
            name: config.name.clone(),
            subjects: config.subjects.clone(),
            max_msg_size: config.max_msg_size,
            allow_direct: config.allow_direct,
            origins: origins
                .filter(|origin| origin.external.is_none())
                .map(|origin| origin.name.clone())
                .collect(),
        }
    }
}

/// What the rules need to know besides the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    pub limits: Limits,
    /// Whether this server belongs to a cluster, so that streams can have replicas.
    pub clustered: bool,
    /// Refuse what would be corrected silently otherwise.
    pub pedantic: bool,
    /// The account's other streams.
    pub streams: Vec<StreamSubjects>,
}

pub(crate) fn refuse(text: impl std::fmt::Display) -> Result<(), ApiError> {
    Err(ApiError::stream_invalid_config(text))
}

/// Whether a stream or consumer may have this name: not empty, and none of `. * > / \` or space.
pub fn is_valid_name(name: &str) -> bool {
    !name.is_empty() && !name.contains([' ', '\t', '\r', '\n', '\x0c', '.', '*', '>', '/', '\\'])
}

/// Fails if the subjects overlap with those of another stream.
fn check_overlap(config: &StreamConfig, context: &Context) -> Result<(), ApiError> {
    let others = context
        .streams
        .iter()
        .filter(|other| other.name != config.name);
    for theirs in others.flat_map(|other| &other.subjects) {
        if config
            .subjects
            .iter()
            .any(|ours| subject::overlaps(ours.as_bytes(), theirs.as_bytes()))
        {
            return Err(ApiError::STREAM_SUBJECT_OVERLAP);
        }
    }
    Ok(())
}
