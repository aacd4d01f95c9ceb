//! Streams, buckets, object stores and consumers: applying plans to them.

use api::status::ReplicaStatus;
use api::{ConsumerStatus, FieldDiff, KVBucketStatus, Kind, ObjectStoreStatus, StreamStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::broker::{RequestError, call};
use crate::config::{Config, compare};
use crate::observe::{Freshness, Observer};
use crate::owner::Mark;
use crate::plan::{Contents, Observed, Plan, Why, plan, plan_deletion};
use crate::report::{Action, Status};
use crate::status::Verdict;
use crate::validate::{Address, ValidatedAsset, complete_consumer};

/// The field of consumers that has a request of its own.
const PAUSE_UNTIL: &str = "pauseUntil";

/// Makes changes to what servers have, as one caller and for one resource.
#[derive(Clone, Copy)]
pub(crate) struct Session<'a> {
    pub(crate) observer: Observer<'a>,
    pub(crate) mark: &'a Mark,
}

/// How it went, with what is known about the asset.
pub(crate) struct Reconciled {
    pub(crate) verdict: Verdict,
    pub(crate) diff: Vec<FieldDiff>,
    pub(crate) status: Status,
}

impl Reconciled {
    fn new(kind: Kind, verdict: Verdict) -> Reconciled {
        Reconciled {
            verdict,
            diff: Vec::new(),
            status: Status::empty(kind),
        }
    }
}

/// Makes the server hold an asset.
pub(crate) async fn reconcile(session: Session<'_>, wanted: ValidatedAsset) -> Reconciled {
    let kind = wanted.id.kind;
    match try_reconcile(session, wanted).await {
        Ok(reconciled) => reconciled,
        Err(error) => Reconciled::new(kind, Verdict::of_request(&error)),
    }
}

/// Does to the server what the deletion of a resource asks for.
pub(crate) async fn delete(session: Session<'_>, wanted: ValidatedAsset) -> Reconciled {
    let kind = wanted.id.kind;
    let verdict = match try_delete(session, &wanted).await {
        Ok(action) => Verdict::Gone(action),
        Err(error) => Verdict::of_request(&error),
    };
    Reconciled::new(kind, verdict)
}

async fn try_reconcile(
    session: Session<'_>,
    mut wanted: ValidatedAsset,
) -> Result<Reconciled, RequestError> {
    match observe(session, &mut wanted, Freshness::Listed).await? {
        Seen::NoStream(verdict) => return Ok(Reconciled::new(wanted.id.kind, verdict)),
        Seen::Asset(info, Plan::Nothing) => return Ok(settled(&wanted, info, Verdict::Synced)),
        // Only what is true now is acted on.
        Seen::Asset(..) => {}
    }
    match act(session, &mut wanted).await {
        // Who was faster is seen now, and has left a mark.
        Err(error) if error.is_taken() => act(session, &mut wanted).await,
        outcome => outcome,
    }
}

/// What the server has, and what to do about it.
enum Seen {
    Asset(Option<Value>, Plan),
    /// A consumer without its stream.
    NoStream(Verdict),
}

async fn observe(
    session: Session<'_>,
    wanted: &mut ValidatedAsset,
    freshness: Freshness,
) -> Result<Seen, RequestError> {
    let observer = session.observer;
    if let Address::Consumer { stream, .. } = &wanted.address {
        let address = Address::Stream(stream.clone());
        let Some(info) = observer.info(&address, freshness).await? else {
            let message = format!("stream {stream} does not exist yet");
            return Ok(Seen::NoStream(Verdict::retrying(
                "StreamNotFound",
                &message,
            )));
        };
        complete_consumer(wanted, &observed(&info).config);
    }
    let info = observer.info(&wanted.address, freshness).await?;
    let found = info.as_ref().map(observed);
    let now_ns = observer.now.as_nanosecond();
    let plan = plan(wanted, found.as_ref(), session.mark, now_ns);
    Ok(Seen::Asset(info, plan))
}

async fn act(
    session: Session<'_>,
    wanted: &mut ValidatedAsset,
) -> Result<Reconciled, RequestError> {
    let (info, plan) = match observe(session, wanted, Freshness::Now).await? {
        Seen::NoStream(verdict) => return Ok(Reconciled::new(wanted.id.kind, verdict)),
        Seen::Asset(info, plan) => (info, plan),
    };
    tracing::debug!(resource = %wanted.id, ?plan, "planned");
    let over = info.as_ref().map(|info| observed(info).config);
    let (info, verdict, diff) = match plan {
        Plan::Nothing | Plan::Delete => (info, Verdict::Synced, Vec::new()),
        Plan::Blocked { reason, diff } => (info, Verdict::of_blocked(reason), diff),
        Plan::Create => {
            let info = session.create(wanted).await?;
            (Some(info), Verdict::Changed(Action::Created), Vec::new())
        }
        Plan::Update { why, diff } => {
            let info = session.update(wanted, over.as_ref(), &diff).await?;
            let action = match why {
                Why::Wanted => Action::Updated,
                Why::Drift => Action::Corrected,
                Why::Adopted => Action::Adopted,
            };
            (Some(info), Verdict::Changed(action), diff)
        }
    };
    let (verdict, diff) = confirm(wanted, info.as_ref(), verdict, diff);
    Ok(Reconciled {
        diff,
        ..settled(wanted, info, verdict)
    })
}

fn settled(wanted: &ValidatedAsset, info: Option<Value>, verdict: Verdict) -> Reconciled {
    Reconciled {
        verdict,
        diff: Vec::new(),
        status: status(wanted.id.kind, info.as_ref()),
    }
}

/// A change that the server accepted and did not make would be tried again for ever.
fn confirm(
    wanted: &ValidatedAsset,
    info: Option<&Value>,
    verdict: Verdict,
    diff: Vec<FieldDiff>,
) -> (Verdict, Vec<FieldDiff>) {
    let (Verdict::Changed(_), Some(info)) = (&verdict, info) else {
        return (verdict, diff);
    };
    let left = compare(&wanted.config, &observed(info).config, wanted.fields);
    if left.is_empty() {
        return (verdict, diff);
    }
    let left: Vec<FieldDiff> = left.iter().map(|found| found.shown()).collect();
    let fields: Vec<&str> = left.iter().map(|found| found.field.as_str()).collect();
    let message = format!(
        "the server accepted the change but keeps its own {}; make the resource say the same",
        fields.join(", ")
    );
    (Verdict::stalled("NotKept", &message), left)
}

async fn try_delete(
    session: Session<'_>,
    wanted: &ValidatedAsset,
) -> Result<Option<Action>, RequestError> {
    // What stays needs no server, so that a broker that is gone holds nothing up.
    if wanted.policies.deletion == api::DeletionPolicy::Retain {
        return Ok(None);
    }
    let info = session
        .observer
        .info(&wanted.address, Freshness::Now)
        .await?;
    let found = info.as_ref().map(observed);
    match plan_deletion(wanted, found.as_ref(), session.mark) {
        Plan::Delete => session.delete(&wanted.address).await.map(Some),
        _ => Ok(None),
    }
}

impl Session<'_> {
    async fn create(&self, wanted: &ValidatedAsset) -> Result<Value, RequestError> {
        let config = wanted.config.marked(None, self.mark, wanted.fields);
        let sealed = config.get("sealed") == Some(&Value::Bool(true));
        let first = if sealed {
            unsealed(config.clone())
        } else {
            config.clone()
        };
        let info = self.write(&wanted.address, "CREATE", &first).await?;
        if !sealed {
            return Ok(info);
        }
        // Servers seal only what exists.
        self.write(&wanted.address, "UPDATE", &config).await
    }

    async fn update(
        &self,
        wanted: &ValidatedAsset,
        over: Option<&Config>,
        diff: &[FieldDiff],
    ) -> Result<Value, RequestError> {
        let config = wanted.config.marked(over, self.mark, wanted.fields);
        let info = self.write(&wanted.address, "UPDATE", &config).await?;
        if let Address::Consumer { stream, name } = &wanted.address
            && diff.iter().any(|found| found.field == PAUSE_UNTIL)
        {
            // Updates leave a pause alone.
            let until = config.get("pause_until").cloned().unwrap_or_default();
            let request = format!("CONSUMER.PAUSE.{stream}.{name}");
            self.call(&request, &json!({ "pause_until": until }))
                .await?;
            let paused = self.observer.info(&wanted.address, Freshness::Now);
            return Ok(paused.await?.unwrap_or(info));
        }
        Ok(info)
    }

    async fn write(
        &self,
        address: &Address,
        verb: &str,
        config: &Map<String, Value>,
    ) -> Result<Value, RequestError> {
        let (request, body) = match address {
            Address::Stream(name) => (format!("STREAM.{verb}.{name}"), json!(config)),
            Address::Consumer { stream, name } => (
                format!("CONSUMER.CREATE.{stream}.{name}"),
                json!({
                    "stream_name": stream,
                    "config": config,
                    "action": verb.to_lowercase(),
                }),
            ),
        };
        self.observer.changes(address).await;
        self.call(&request, &body).await
    }

    async fn delete(&self, address: &Address) -> Result<Action, RequestError> {
        let request = match address {
            Address::Stream(name) => format!("STREAM.DELETE.{name}"),
            Address::Consumer { stream, name } => format!("CONSUMER.DELETE.{stream}.{name}"),
        };
        self.observer.changes(address).await;
        match self.call(&request, &Value::Null).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(Action::Deleted),
        }
    }

    async fn call(&self, request: &str, body: &Value) -> Result<Value, RequestError> {
        let Observer { broker, caller, .. } = self.observer;
        call(broker, caller, &self.observer.subject(request), body).await
    }
}

fn unsealed(mut config: Map<String, Value>) -> Map<String, Value> {
    config.insert("sealed".to_owned(), false.into());
    config
}

/// The part of an answer that plans are made of.
fn observed(info: &Value) -> Observed {
    let empty = Map::new();
    let state = &info["state"];
    let number = |name: &str| state[name].as_u64().unwrap_or_default();
    let first_time = state["first_ts"]
        .as_str()
        .and_then(|time| time.parse::<Timestamp>().ok());
    Observed {
        config: Config::from_map(info["config"].as_object().unwrap_or(&empty)),
        contents: Contents {
            messages: number("messages"),
            bytes: number("bytes"),
            subjects: number("num_subjects"),
            first_time_ns: first_time.map(Timestamp::as_nanosecond),
        },
    }
}

fn status(kind: Kind, info: Option<&Value>) -> Status {
    let Some(info) = info else {
        return Status::empty(kind);
    };
    let state = &info["state"];
    let leader = leader(&info["cluster"]);
    match kind {
        Kind::Consumer => Status::Consumer(ConsumerStatus {
            pending: info["num_pending"].as_u64(),
            ack_pending: info["num_ack_pending"].as_u64(),
            redelivered: info["num_redelivered"].as_u64(),
            waiting: info["num_waiting"].as_u64(),
            ack_floor: info["ack_floor"]["stream_seq"].as_u64(),
            paused: Some(info["paused"].as_bool().unwrap_or_default()),
            leader,
            ..ConsumerStatus::default()
        }),
        Kind::KVBucket => Status::KVBucket(KVBucketStatus {
            values: state["messages"].as_u64(),
            bytes: state["bytes"].as_u64(),
            leader,
            ..KVBucketStatus::default()
        }),
        Kind::ObjectStore => Status::ObjectStore(ObjectStoreStatus {
            bytes: state["bytes"].as_u64(),
            leader,
            ..ObjectStoreStatus::default()
        }),
        _ => Status::Stream(StreamStatus {
            messages: state["messages"].as_u64(),
            bytes: state["bytes"].as_u64(),
            first_sequence: state["first_seq"].as_u64(),
            last_sequence: state["last_seq"].as_u64(),
            consumers: state["consumer_count"].as_u64(),
            leader,
            replicas: replicas(&info["cluster"]["replicas"]),
            created: info["created"]
                .as_str()
                .and_then(|time| time.parse().ok())
                .map(Time),
            ..StreamStatus::default()
        }),
    }
}

/// A server that stands alone names itself, in some answers and not in others: it leads nobody.
fn leader(cluster: &Value) -> Option<String> {
    cluster["name"].as_str()?;
    cluster["leader"].as_str().map(str::to_owned)
}

fn replicas(list: &Value) -> Vec<ReplicaStatus> {
    let replica = |found: &Value| ReplicaStatus {
        name: found["name"].as_str().unwrap_or_default().to_owned(),
        current: found["current"].as_bool().unwrap_or_default(),
        lag: found["lag"].as_u64().unwrap_or_default(),
    };
    list.as_array().into_iter().flatten().map(replica).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_of_a_server_that_stands_alone_give_one_status() {
        let listed = json!({"state": {"messages": 1}});
        let mut asked_for = listed.clone();
        asked_for["cluster"] = json!({"leader": "NALONE"});
        assert_eq!(
            status(Kind::Stream, Some(&listed)),
            status(Kind::Stream, Some(&asked_for))
        );
        asked_for["cluster"]["name"] = "shop".into();
        let Status::Stream(status) = status(Kind::Stream, Some(&asked_for)) else {
            panic!("another status");
        };
        assert_eq!(status.leader.as_deref(), Some("NALONE"));
    }
}
