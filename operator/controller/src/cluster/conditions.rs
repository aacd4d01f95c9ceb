//! Conditions, whose times change only when they do. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// One condition, as it should be now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub type_: &'static str,
    /// `None` if nobody knows.
    pub holds: Option<bool>,
    pub reason: &'static str,
    pub message: String,
}

impl Claim {
    pub fn new(
        type_: &'static str,
        holds: bool,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Claim {
        Claim {
            type_,
            holds: Some(holds),
            reason,
            message: message.into(),
        }
    }
}

/// The conditions to report, with the times of those that hold since before.
pub fn merge(
    before: &[Condition],
    claims: Vec<Claim>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let conditions = claims.into_iter().map(|claim| {
        let status = match claim.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let former = before.iter().find(|former| former.type_ == claim.type_);
        let since = former.filter(|former| former.status == status);
        Condition {
            last_transition_time: since
                .map_or(Time(now), |former| former.last_transition_time.clone()),
            message: claim.message,
            observed_generation: generation,
            reason: claim.reason.to_owned(),
            status: status.to_owned(),
            type_: claim.type_.to_owned(),
        }
    });
    conditions.collect()
}

/// A time as the API server keeps it, in whole seconds.
pub fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_tell_since_when_a_condition_holds() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let claim = |holds| vec![Claim::new("Ready", holds, "A", "b")];
        let first = merge(&[], claim(true), Some(1), at(1));
        let second = merge(&first, claim(true), Some(2), at(2));
        assert_eq!(second[0].last_transition_time.0, at(1));
        assert_eq!(second[0].observed_generation, Some(2));
        let third = merge(&second, claim(false), Some(2), at(3));
        assert_eq!(third[0].last_transition_time.0, at(3));
        assert_eq!(third[0].status, "False");
    }
}
