//! Step 5: the conditions that tell how far a resource has got. Pure.

#[cfg(test)]
mod tests;

use api::status::{CONFLICT, DRIFTED, READY, RECONCILING, STALLED, SYNCED};
use api::{FieldDiff, SyncStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use crate::broker::RequestError;
use crate::plan::Blocked;
use crate::report::Action;

/// How it went with one resource.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The server holds what is wanted.
    Synced,
    /// It does now.
    Changed(Action),
    /// Nothing more is to be done for a resource that is being deleted.
    Gone(Option<Action>),
    /// It differs, and the policy wants that only reported.
    Reported(String),
    /// It is somebody else's.
    Conflict(String),
    /// A person has to change something first.
    Stalled {
        reason: &'static str,
        message: String,
    },
    /// Trying again may help.
    Retrying {
        reason: &'static str,
        message: String,
    },
}

impl Verdict {
    pub(crate) fn stalled(reason: &'static str, error: &impl ToString) -> Verdict {
        Verdict::Stalled {
            reason,
            message: error.to_string(),
        }
    }

    pub(crate) fn retrying(reason: &'static str, error: &impl ToString) -> Verdict {
        Verdict::Retrying {
            reason,
            message: error.to_string(),
        }
    }

    pub(crate) fn of_request(error: &RequestError) -> Verdict {
        match error {
            RequestError::NotReachable(_) => Verdict::retrying("BrokerNotReachable", error),
            RequestError::NoAnswer { .. } => Verdict::retrying("NoLeader", error),
            RequestError::Refused { .. } if error.is_transient() => {
                Verdict::retrying("BrokerNotReady", error)
            }
            RequestError::Refused { .. } => Verdict::stalled("RefusedByBroker", error),
            RequestError::NotUnderstood { .. } => Verdict::stalled("AnswerNotUnderstood", error),
        }
    }

    pub(crate) fn of_blocked(reason: Blocked) -> Verdict {
        match reason {
            Blocked::Conflict(message) => Verdict::Conflict(message),
            Blocked::Illegal(message) => Verdict::stalled("ChangeNotPossible", &message),
            Blocked::LosesData(message) => Verdict::stalled("ApprovalNeeded", &message),
            Blocked::Policy(policy) => Verdict::Reported(format!(
                "differs from the server; managementPolicy {policy:?} leaves it so"
            )),
            Blocked::Missing => Verdict::stalled(
                "NotFound",
                &"it does not exist, and managementPolicy Observe creates nothing",
            ),
        }
    }

    pub(crate) fn action(&self) -> Option<Action> {
        match self {
            Verdict::Changed(action) => Some(*action),
            Verdict::Gone(action) => *action,
            _ => None,
        }
    }

    /// What a person should read about it.
    pub(crate) fn error(&self) -> Option<&str> {
        match self {
            Verdict::Synced | Verdict::Changed(_) | Verdict::Gone(_) => None,
            Verdict::Reported(message)
            | Verdict::Conflict(message)
            | Verdict::Stalled { message, .. }
            | Verdict::Retrying { message, .. } => Some(message),
        }
    }
}

/// What a condition says.
struct Say {
    type_: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
}

/// The common part of the status, after the one that was reported before.
pub(crate) fn sync_status(
    verdict: &Verdict,
    diff: Vec<FieldDiff>,
    generation: Option<i64>,
    before: Option<&SyncStatus>,
    now: Timestamp,
) -> SyncStatus {
    let is_synced = matches!(verdict, Verdict::Synced | Verdict::Changed(_));
    // A time that changes with every look would be written with every look.
    let was_synced = *verdict == Verdict::Synced
        && before.is_some_and(|before| {
            before.observed_generation == generation && before.is_true(SYNCED)
        });
    let earlier = |type_: &str| {
        let before = before?;
        before.conditions.iter().find(|found| found.type_ == type_)
    };
    let conditions = conditions(verdict).into_iter().map(|say| {
        let same = earlier(say.type_).filter(|found| found.status == say.status);
        Condition {
            type_: say.type_.to_owned(),
            status: say.status.to_owned(),
            reason: say.reason.to_owned(),
            message: say.message,
            observed_generation: generation,
            last_transition_time: same
                .map_or(Time(now), |found| found.last_transition_time.clone()),
        }
    });
    SyncStatus {
        observed_generation: generation,
        conditions: conditions.collect(),
        diff,
        last_sync_time: if is_synced && !was_synced {
            Some(Time(now))
        } else {
            before.and_then(|before| before.last_sync_time.clone())
        },
    }
}

fn conditions(verdict: &Verdict) -> Vec<Say> {
    let (reason, message) = reason(verdict);
    // Only the conditions that matter explain themselves.
    let say = |type_, status, matters: bool| Say {
        type_,
        status,
        reason,
        message: if matters {
            message.clone()
        } else {
            String::new()
        },
    };
    let (ready, reconciling, stalled, synced, drifted, conflict) = match verdict {
        Verdict::Synced => ("True", "False", "False", "True", "False", "False"),
        Verdict::Changed(Action::Corrected) => ("True", "False", "False", "True", "True", "False"),
        Verdict::Changed(_) => ("True", "False", "False", "True", "False", "False"),
        Verdict::Gone(_) => ("False", "False", "False", "True", "False", "False"),
        Verdict::Reported(_) => ("True", "False", "False", "False", "True", "False"),
        Verdict::Conflict(_) => ("False", "False", "True", "False", "False", "True"),
        Verdict::Stalled { .. } => ("False", "False", "True", "False", "False", "False"),
        Verdict::Retrying { .. } => ("False", "True", "False", "Unknown", "Unknown", "Unknown"),
    };
    vec![
        say(READY, ready, true),
        say(RECONCILING, reconciling, reconciling == "True"),
        say(STALLED, stalled, stalled == "True"),
        say(SYNCED, synced, true),
        say(DRIFTED, drifted, drifted == "True"),
        say(CONFLICT, conflict, conflict == "True"),
    ]
}

fn reason(verdict: &Verdict) -> (&'static str, String) {
    let (reason, message) = match verdict {
        Verdict::Synced => ("Synced", "the server holds what the resource says"),
        Verdict::Changed(action) | Verdict::Gone(Some(action)) => match action {
            Action::Created => ("Created", "it was created"),
            Action::Updated => (
                "Updated",
                "the server was changed to what the resource says",
            ),
            Action::Corrected => (
                "Corrected",
                "somebody had changed the server; it was corrected",
            ),
            Action::Adopted => ("Adopted", "it existed already and was taken over"),
            Action::Renewed => ("Renewed", "credentials were renewed before they expired"),
            Action::Deleted => ("Deleted", "it was deleted from the server"),
        },
        Verdict::Gone(None) => ("Retained", "nothing is deleted from the server"),
        Verdict::Reported(message) => ("ManagementPolicy", message.as_str()),
        Verdict::Conflict(message) => ("Conflict", message.as_str()),
        Verdict::Stalled { reason, message } | Verdict::Retrying { reason, message } => {
            (*reason, message.as_str())
        }
    };
    (reason, message.to_owned())
}
