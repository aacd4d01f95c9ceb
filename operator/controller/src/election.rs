//! Leadership of one replica by a Lease.
//!
//! The clocks of other machines are never compared with the own one: a Lease has run out when it
//! did not change for as long as it lasts, as seen from here. [`Candidate`] decides; [`Election`]
//! reads and writes the Lease. Two that write at the same time are told apart by the API server.

mod candidate;
#[cfg(test)]
mod tests;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};

use candidate::{Candidate, Step};

/// How long a Lease lasts without being renewed.
const LEASE: Duration = Duration::from_secs(15);
/// A leader that could not renew for this long stops, well before another may begin.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Between two looks at the Lease.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long one request to the API server may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// This replica's part in the election.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    candidate: Candidate,
    started: Instant,
}

impl Election {
    pub fn new(client: Client, namespace: &str, name: &str, identity: String) -> Election {
        Election {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            candidate: Candidate::new(identity, LEASE),
            started: Instant::now(),
        }
    }

    /// Resolves when this replica leads.
    pub async fn win(&mut self) {
        loop {
            match self.attempt().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, lease = self.name, "lease not taken"),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Resolves when this replica leads no longer.
    pub async fn lose(&mut self) {
        let mut renewed = Instant::now();
        loop {
            sleep(LOOK_EVERY).await;
            match self.attempt().await {
                Ok(true) => renewed = Instant::now(),
                // Somebody else has it.
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, lease = self.name, "lease not renewed"),
            }
            if renewed.elapsed() >= RENEW_DEADLINE {
                return;
            }
        }
    }

    /// Lets another replica begin at once.
    pub async fn release(self) {
        if let Err(error) = self.give_back().await {
            tracing::warn!(%error, lease = self.name, "lease not released; it runs out by itself");
        }
    }

    /// One look at the Lease; whether this replica holds it afterwards.
    async fn attempt(&mut self) -> kube::Result<bool> {
        match timeout(REQUEST_TIMEOUT, self.look()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(kube::Error::Service("no answer in time".into())),
        }
    }

    async fn look(&mut self) -> kube::Result<bool> {
        let found = self.leases.get_opt(&self.name).await?;
        let spec = found.as_ref().and_then(|lease| lease.spec.as_ref());
        let step = self.candidate.step(spec, self.started.elapsed());
        let Step::Write(spec) = step.at(Timestamp::now()) else {
            return Ok(false);
        };
        match self.write(found, spec).await {
            Ok(()) => Ok(true),
            // Another replica was faster.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn write(&self, found: Option<Lease>, spec: LeaseSpec) -> kube::Result<()> {
        let params = PostParams::default();
        match found {
            // The resource version in it makes the API server refuse if it changed meanwhile.
            Some(mut lease) => {
                lease.spec = Some(spec);
                self.leases.replace(&self.name, &params, &lease).await?;
            }
            None => {
                let metadata = ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                };
                let spec = Some(spec);
                self.leases
                    .create(&params, &Lease { metadata, spec })
                    .await?;
            }
        }
        Ok(())
    }

    async fn give_back(&self) -> kube::Result<()> {
        let Some(mut lease) = self.leases.get_opt(&self.name).await? else {
            return Ok(());
        };
        let spec = lease.spec.get_or_insert_default();
        if !self.candidate.holds(spec) {
            return Ok(());
        }
        spec.holder_identity = Some(String::new());
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        let params = PostParams::default();
        self.leases.replace(&self.name, &params, &lease).await?;
        Ok(())
    }
}
