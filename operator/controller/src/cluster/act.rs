//! Does what was decided: requests to the Kubernetes API and to the brokers.

use std::time::Duration;

use api::cluster::Cluster;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::events::EventType;
use kube::{Api, Resource};
use reconcile::{Broker, RequestError, Roots, Servers, Tls};
use serde_json::{Value, json};

use super::certificates::Listener;
use super::fleet::Server;
use super::names;
use super::scale::{Next, Plan};
use super::validate::ValidCluster;
use crate::context::{Context, MANAGER};

/// How long a broker may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const EVACUATE: &str = "$JS.API.SERVER.EVACUATE";
const REMOVE: &str = "$JS.API.SERVER.REMOVE";

pub struct Acts<'a> {
    context: &'a Context,
    cluster: &'a Cluster,
    valid: &'a ValidCluster,
    roots: &'a Roots,
    /// Connects when something is asked first.
    brokers: Result<Servers, RequestError>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what} {name}")]
    Request {
        what: &'static str,
        name: String,
        #[source]
        source: kube::Error,
    },
}

impl<'a> Acts<'a> {
    pub fn new(
        context: &'a Context,
        cluster: &'a Cluster,
        valid: &'a ValidCluster,
        roots: &'a Roots,
    ) -> Acts<'a> {
        Acts {
            context,
            cluster,
            valid,
            roots,
            brokers: brokers(context, valid),
        }
    }

    /// Stops the pod of a server; its StatefulSet makes a new one. Never another pod of that name.
    pub async fn restart(&self, server: &Server) -> Result<(), Error> {
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: server.uid.clone(),
            resource_version: None,
        });
        let outcome = self.pods().delete(&server.name, &params).await;
        match outcome {
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
                return Ok(());
            }
            outcome => outcome.map_err(|source| failed("restarting pod", &server.name, source))?,
        };
        let note = format!("server {} is restarted", server.name);
        self.event(EventType::Normal, "RestartingServer", &note)
            .await;
        Ok(())
    }

    /// Has the kubelet update a pod's files.
    pub async fn update_files(
        &self,
        server: &Server,
        hash: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let asked = json!({
            names::CONFIG_ANNOTATION: hash,
            names::CONFIG_SINCE_ANNOTATION: now.to_string(),
        });
        self.annotate(server, &asked).await
    }

    async fn annotate(&self, server: &Server, annotations: &Value) -> Result<(), Error> {
        let patch = json!({ "metadata": { "annotations": annotations } });
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let outcome = self
            .pods()
            .patch(&server.name, &params, &Patch::Merge(&patch))
            .await;
        match outcome {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            outcome => outcome
                .map(drop)
                .map_err(|source| failed("annotating pod", &server.name, source)),
        }
    }

    /// Asks a server to read its configuration; whether that may still help.
    pub async fn reload(&self, server: &Server, id: &str, hash: &str) -> Result<bool, Error> {
        let subject = format!("$SYS.REQ.SERVER.{id}.RELOAD");
        match self.ask(&subject, &Value::Null).await {
            Ok(()) => Ok(true),
            Err(error @ RequestError::Refused { .. }) => {
                let refused = json!({ names::CONFIG_REFUSED_ANNOTATION: hash });
                self.annotate(server, &refused).await?;
                let note = format!("server {} needs a restart: {error}", server.name);
                self.event(EventType::Normal, "ReloadRefused", &note).await;
                Ok(false)
            }
            Err(error) => {
                tracing::debug!(server = server.name, %error, "reload");
                Ok(true)
            }
        }
    }

    /// Moves a change of size on by one step. A refusal becomes part of the plan.
    pub async fn resize(&self, plan: &mut Plan) -> Result<(), Error> {
        for server in &plan.keep {
            let body = json!({ "peer": server, "cancel": true });
            self.ask_and_tell(EVACUATE, &body, server).await;
        }
        for server in &plan.forget {
            self.ask_and_tell(REMOVE, &json!({ "peer": server }), server)
                .await;
        }
        if let Next::Evacuate { server } = &plan.next {
            let asked = self.ask(EVACUATE, &json!({ "peer": server })).await;
            match asked {
                Err(error @ RequestError::Refused { .. }) if !error.is_transient() => {
                    plan.next = Next::Refused {
                        server: server.clone(),
                        why: error.to_string(),
                    };
                }
                Err(error) => tracing::warn!(server, %error, "evacuation"),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Deletes claims that nobody needs any more.
    pub async fn delete_claims(&self, names: &[String]) -> Result<(), Error> {
        for name in names {
            match self.claims().delete(name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                outcome => drop(outcome.map_err(|source| failed("deleting claim", name, source))?),
            }
        }
        Ok(())
    }

    /// Says whom claims belong to.
    pub async fn own_claims(&self, owners: &[(String, Vec<OwnerReference>)]) -> Result<(), Error> {
        for (name, owners) in owners {
            let patch = json!({ "metadata": { "ownerReferences": owners } });
            let params = PatchParams {
                field_manager: Some(MANAGER.to_owned()),
                ..PatchParams::default()
            };
            match self
                .claims()
                .patch(name, &params, &Patch::Merge(&patch))
                .await
            {
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                outcome => drop(outcome.map_err(|source| failed("owning claim", name, source))?),
            }
        }
        Ok(())
    }

    /// Has claims ask for more. Why they do not get it.
    pub async fn grow_claims(&self, grow: &[(String, String)]) -> Result<Option<String>, Error> {
        let mut reason = None;
        for (name, size) in grow {
            let patch = json!({ "spec": { "resources": { "requests": { "storage": size } } } });
            let params = PatchParams {
                field_manager: Some(MANAGER.to_owned()),
                ..PatchParams::default()
            };
            match self
                .claims()
                .patch(name, &params, &Patch::Merge(&patch))
                .await
            {
                // The storage class does not allow it.
                Err(kube::Error::Api(status)) if status.is_forbidden() || status.is_invalid() => {
                    reason = Some(format!(
                        "volume claim {name} can not grow: {}",
                        status.message
                    ));
                }
                outcome => drop(outcome.map_err(|source| failed("growing claim", name, source))?),
            }
        }
        Ok(reason)
    }

    async fn ask_and_tell(&self, subject: &str, body: &Value, server: &str) {
        if let Err(error) = self.ask(subject, body).await {
            tracing::warn!(server, subject, %error, "brokers refused");
        }
    }

    /// Makes one request in the system account.
    async fn ask(&self, subject: &str, body: &Value) -> Result<(), RequestError> {
        let payload = match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        };
        let caller = self.roots.system_caller();
        let brokers = self.brokers.as_ref().map_err(Clone::clone)?;
        let answer = brokers
            .request(&caller, subject, payload, ANSWER_TIMEOUT)
            .await?;
        refusal(subject, &answer)
    }

    async fn event(&self, type_: EventType, reason: &str, note: &str) {
        let reference = self.cluster.object_ref(&());
        self.context.event(&reference, type_, reason, note).await;
    }

    fn claims(&self) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.context.client.clone(), &self.valid.namespace)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.context.client.clone(), &self.valid.namespace)
    }
}

/// The brokers behind the clients' Service.
fn brokers(context: &Context, valid: &ValidCluster) -> Result<Servers, RequestError> {
    let servers = Servers::new(vec![valid.client_url()], context.environment.clone());
    let tls = match valid.certificates.of(Listener::Client) {
        Some(tls) if !tls.authority.is_empty() => tls,
        _ => return Ok(servers),
    };
    let verifies = valid.spec.listeners.client.tls.as_ref();
    let verifies = verifies.is_some_and(|tls| tls.verify);
    let tls = Tls {
        authorities: tls.authority.clone(),
        identity: verifies.then(|| (tls.certificate.clone(), tls.key.clone())),
    };
    servers.with_tls(&tls).map_err(RequestError::NotReachable)
}

/// The error in an answer, if there is one.
fn refusal(subject: &str, answer: &[u8]) -> Result<(), RequestError> {
    let answer: Value =
        serde_json::from_slice(answer).map_err(|error| RequestError::NotUnderstood {
            subject: subject.to_owned(),
            reason: error.to_string(),
        })?;
    match answer.get("error") {
        None | Some(Value::Null) => Ok(()),
        Some(error) => Err(RequestError::Refused {
            code: error["code"].as_u64().unwrap_or_default(),
            error_code: error["err_code"].as_u64().unwrap_or_default(),
            description: error["description"]
                .as_str()
                .unwrap_or("unknown error")
                .to_owned(),
        }),
    }
}

fn failed(what: &'static str, name: &str, source: kube::Error) -> Error {
    Error::Request {
        what,
        name: name.to_owned(),
        source,
    }
}
