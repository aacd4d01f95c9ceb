//! Changes that would remove messages.

use serde_json::Value;

use api::{APPROVE_ANNOTATION, FieldDiff};

use crate::config::Difference;

/// What a stream holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Contents {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) subjects: u64,
    /// When the oldest message was kept, in nanoseconds since 1970.
    pub(crate) first_time_ns: Option<i128>,
}

/// Why a change would lose data now, and how to allow it.
pub(super) fn find(
    differences: &[Difference],
    contents: &Contents,
    now_ns: i128,
) -> Option<String> {
    let lost = differences
        .iter()
        .find(|found| loses(found, contents, now_ns))?;
    let FieldDiff {
        field,
        observed,
        desired,
    } = lost.shown();
    Some(format!(
        "{field} from {observed} to {desired} removes messages: the stream holds {} with {} bytes; \
         to allow it set the annotation {APPROVE_ANNOTATION} to the resource's generation or to true",
        contents.messages, contents.bytes,
    ))
}

fn loses(found: &Difference, contents: &Contents, now_ns: i128) -> bool {
    if contents.messages == 0 {
        return false;
    }
    match found.field.api {
        "max_msgs" => exceeds(contents.messages, found),
        "max_bytes" => exceeds(contents.bytes, found),
        // All messages but one of each other subject may have the same subject.
        "max_msgs_per_subject" => {
            let others = contents.subjects.saturating_sub(1);
            exceeds(contents.messages.saturating_sub(others), found)
        }
        "max_age" => {
            let age = contents.first_time_ns.map(|first| now_ns - first);
            let limit = i128::from(found.desired.as_i64().unwrap_or_default());
            limit > 0 && age.is_some_and(|age| age > limit)
        }
        // Messages that no consumer wants would go.
        "retention" => found.desired == "interest",
        _ => false,
    }
}

fn exceeds(held: u64, found: &Difference) -> bool {
    limit(&found.desired).is_some_and(|limit| held > limit)
}

fn limit(value: &Value) -> Option<u64> {
    value.as_u64().filter(|limit| *limit > 0)
}
