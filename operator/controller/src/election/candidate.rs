//! What a replica does about the Lease that it sees. Pure.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

/// A replica that wants to lead.
pub struct Candidate {
    identity: String,
    lease: Duration,
    /// The Lease of another replica as it was seen last, and when it was first seen so.
    seen: Option<(LeaseSpec, Duration)>,
}

/// What to do about a Lease.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// It is another replica's.
    Wait,
    /// Write this. It is granted if the write succeeds.
    Write(LeaseSpec),
}

impl Candidate {
    pub fn new(identity: String, lease: Duration) -> Candidate {
        let seen = None;
        Candidate {
            identity,
            lease,
            seen,
        }
    }

    pub fn holds(&self, spec: &LeaseSpec) -> bool {
        spec.holder_identity.as_deref() == Some(self.identity.as_str())
    }

    /// `now` is the time since the candidate began.
    pub fn step(&mut self, found: Option<&LeaseSpec>, now: Duration) -> Step {
        let Some(found) = found else {
            return Step::Write(self.taken(None));
        };
        if self.holds(found) {
            self.seen = None;
            let mut renewed = found.clone();
            renewed.lease_duration_seconds = Some(self.lease_seconds());
            return Step::Write(renewed);
        }
        let is_free = found.holder_identity.as_deref().is_none_or(str::is_empty);
        if is_free || self.has_run_out(found, now) {
            self.seen = None;
            return Step::Write(self.taken(Some(found)));
        }
        Step::Wait
    }

    /// Whether another replica's Lease did not change for as long as it lasts.
    fn has_run_out(&mut self, found: &LeaseSpec, now: Duration) -> bool {
        let lasts = found.lease_duration_seconds.and_then(|s| s.try_into().ok());
        let lasts = lasts.map_or(self.lease, Duration::from_secs);
        match &self.seen {
            Some((seen, since)) if seen == found => now.saturating_sub(*since) >= lasts,
            _ => {
                self.seen = Some((found.clone(), now));
                false
            }
        }
    }

    fn taken(&self, former: Option<&LeaseSpec>) -> LeaseSpec {
        let mut spec = former.cloned().unwrap_or_default();
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = Some(self.lease_seconds());
        spec.lease_transitions = Some(match former {
            None => 0,
            Some(former) => former.lease_transitions.unwrap_or(0).saturating_add(1),
        });
        spec.acquire_time = None;
        spec
    }

    fn lease_seconds(&self) -> i32 {
        i32::try_from(self.lease.as_secs()).unwrap_or(i32::MAX)
    }
}

impl Step {
    /// The same with the times that people and other tools read.
    pub fn at(self, now: Timestamp) -> Step {
        let Step::Write(mut spec) = self else {
            return self;
        };
        spec.acquire_time.get_or_insert(MicroTime(now));
        spec.renew_time = Some(MicroTime(now));
        Step::Write(spec)
    }
}
