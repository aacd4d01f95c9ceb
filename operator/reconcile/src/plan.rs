//! Step 3: what to do about the difference between what is wanted and what is there. Pure.

mod loss;
#[cfg(test)]
mod tests;

use api::{AdoptionPolicy, DeletionPolicy, FieldDiff, ManagementPolicy};

use crate::config::{Change, Config, Difference, compare};
use crate::owner::Mark;
use crate::validate::{Approval, ValidatedAsset};

pub(crate) use loss::Contents;

/// What the server has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    pub(crate) config: Config,
    /// What a stream holds; nothing for consumers.
    pub(crate) contents: Contents,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Plan {
    /// The server has what is wanted.
    Nothing,
    Create,
    Update {
        why: Why,
        diff: Vec<FieldDiff>,
    },
    Delete,
    /// A person has to do something first, or wants it so.
    Blocked {
        reason: Blocked,
        diff: Vec<FieldDiff>,
    },
}

/// Why something is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The resource changed.
    Wanted,
    /// Somebody changed the server.
    Drift,
    /// Nobody managed it until now.
    Adopted,
}

/// Why nothing is done although there is something to do. The texts say what to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// It is somebody else's.
    Conflict(String),
    /// Servers refuse the change.
    Illegal(String),
    /// The change would lose data.
    LosesData(String),
    /// The management policy does not want it.
    Policy(ManagementPolicy),
    /// It is not there, and the policy does not want it created.
    Missing,
}

/// Decides what to do for an asset that is wanted.
pub(crate) fn plan(
    wanted: &ValidatedAsset,
    observed: Option<&Observed>,
    mark: &Mark,
    now_ns: i128,
) -> Plan {
    let Some(observed) = observed else {
        return match wanted.policies.management {
            ManagementPolicy::Observe => blocked(Blocked::Missing, &[]),
            ManagementPolicy::Full | ManagementPolicy::CreateOnly => Plan::Create,
        };
    };
    let differences = compare(&wanted.config, &observed.config, wanted.fields);
    if wanted.policies.management == ManagementPolicy::Observe {
        return match differences.as_slice() {
            [] => Plan::Nothing,
            some => blocked(Blocked::Policy(ManagementPolicy::Observe), some),
        };
    }
    let why = match observed.config.mark() {
        Some(owner) if owner == *mark => {
            let applied = observed.config.applied();
            let same_wish = applied == Some(wanted.config.hash(wanted.fields).as_str());
            match (differences.is_empty(), same_wish) {
                (true, true) => return Plan::Nothing,
                (_, true) => Why::Drift,
                (_, false) => Why::Wanted,
            }
        }
        Some(owner) => return blocked(Blocked::Conflict(others(wanted, &owner)), &differences),
        None => match adopt(wanted, &differences) {
            Ok(()) => Why::Adopted,
            Err(reason) => return blocked(reason, &differences),
        },
    };
    if wanted.policies.management == ManagementPolicy::CreateOnly {
        return match differences.as_slice() {
            [] => Plan::Nothing,
            some => blocked(Blocked::Policy(ManagementPolicy::CreateOnly), some),
        };
    }
    if let Some(reason) = illegal(&differences) {
        return blocked(Blocked::Illegal(reason), &differences);
    }
    if wanted.approval == Approval::Missing
        && let Some(reason) = loss::find(&differences, &observed.contents, now_ns)
    {
        return blocked(Blocked::LosesData(reason), &differences);
    }
    Plan::Update {
        why,
        diff: shown(&differences),
    }
}

/// Decides what to do for an asset whose resource is being deleted.
pub(crate) fn plan_deletion(
    wanted: &ValidatedAsset,
    observed: Option<&Observed>,
    mark: &Mark,
) -> Plan {
    let is_ours = observed.is_some_and(|found| found.config.mark().as_ref() == Some(mark));
    let may_change = wanted.policies.management != ManagementPolicy::Observe;
    match wanted.policies.deletion {
        DeletionPolicy::Delete if is_ours && may_change => Plan::Delete,
        _ => Plan::Nothing,
    }
}

fn adopt(wanted: &ValidatedAsset, differences: &[Difference]) -> Result<(), Blocked> {
    match wanted.policies.adoption {
        AdoptionPolicy::Always => Ok(()),
        AdoptionPolicy::IfIdentical if differences.is_empty() => Ok(()),
        AdoptionPolicy::IfIdentical => Err(Blocked::Conflict(
            "it exists, nobody manages it and it is configured differently; \
             make the resource say the same, or set adoptionPolicy: Always to change it"
                .to_owned(),
        )),
        AdoptionPolicy::Never => Err(Blocked::Conflict(
            "it exists and nobody manages it; set adoptionPolicy: IfIdentical or Always to take \
             it over, or choose another name"
                .to_owned(),
        )),
    }
}

fn others(wanted: &ValidatedAsset, owner: &Mark) -> String {
    format!(
        "it belongs to {owner}, not to {}; choose another name, or delete the other resource \
         with deletionPolicy: Retain and remove {} from the metadata on the server",
        wanted.id,
        crate::owner::OWNER_KEY,
    )
}

/// What servers refuse to change.
fn illegal(differences: &[Difference]) -> Option<String> {
    differences
        .iter()
        .find(|found| found.is_illegal())
        .map(|found| {
            let FieldDiff {
                field,
                observed,
                desired,
            } = found.shown();
            format!(
                "{field} is {observed} on the server and can not become {desired}; \
             change it back, or give the resource another name so that a new one is made"
            )
        })
}

impl Difference {
    fn is_illegal(&self) -> bool {
        match self.field.change {
            Change::Free | Change::AtCreation => self.becomes_push(),
            Change::Fixed => true,
            Change::OneWay => self.observed == true,
            Change::OnlyRemoved => !self.desired.is_null(),
            Change::Retention => self.observed == "workqueue" || self.desired == "workqueue",
        }
    }

    /// Pull consumers stay pull consumers, and push consumers push.
    fn becomes_push(&self) -> bool {
        self.field.api == "deliver_subject" && (self.observed == "" || self.desired == "")
    }
}

fn blocked(reason: Blocked, differences: &[Difference]) -> Plan {
    Plan::Blocked {
        reason,
        diff: shown(differences),
    }
}

fn shown(differences: &[Difference]) -> Vec<FieldDiff> {
    differences.iter().map(Difference::shown).collect()
}
