//! Makes a stream of a backup that a client sends.
//!
//! The first leader of the new stream does it: it tells the client where to send chunks, and proposes
//! what is in them to the stream's log, so that every replica gets it. A backup that ends early, by an
//! error, silence or a change of leader, leaves nothing: the stream is given up in its log, so that no other
//! leader can complete it, and then deleted.

use std::sync::Arc;
use std::time::Duration;

use backup::BackupReader;
use bytes::Bytes;
use jetstream::ApiError;
use jetstream::api::advisory::ActionKind;
use jetstream::api::stream::{CreateResponse, RestoreResponse};
use jetstream::api::{self, Verb};
use jetstream::command::{Action, CopiedMessage, MAX_BATCH_BYTES, MAX_BATCH_MESSAGES, Restore};
use jetstream::config::Storage;
use jetstream::snapshot::{RestoreError, Restoring};
use jetstream::stream::Restoration;
use tokio::sync::mpsc;

use super::listening::Listening;
use crate::advisory::{self, Transfer};
use crate::allowance::replicas_of;
use crate::api::{consumer_limits, stream_info};
use crate::asset::Asset;
use crate::bus::{Handler, Incoming, Outgoing};
use crate::engine::Engine;
use crate::meta::ReplyTo;
use crate::peer::Question;

/// How long a client may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Chunks that may wait. A client sends the next one when the last is confirmed.
const WAITING_CHUNKS: usize = 16;
/// Most bytes of one entry: the largest message, or what a consumer has delivered.
const ENTRY_BYTES_MAX: u64 = 64 * 1024 * 1024 + 64 * 1024;
/// How long until the meta leader is told again that a stream was given up.
const ABANDON_RETRY: Duration = Duration::from_secs(1);

/// On the leader of a stream that waits for its backup: makes the stream complete, or gives it up.
/// Returns only if it is complete.
pub async fn run(engine: &Engine, asset: &Arc<Asset>) {
    let restoration = asset.read(|machine| machine.restoration());
    if restoration == Restoration::Complete {
        return;
    }
    let client = asset.take_announcements().into_iter().next();
    match (restoration, &client) {
        (Restoration::Awaited, Some(client)) if receive(engine, asset, client).await => return,
        // A memory stream is empty after its server was started again, like others.
        (Restoration::Awaited, None) if asset.group().is_none() => {
            asset
                .request(Action::Restore(Restore::End { last_seq: 0 }))
                .await;
            return;
        }
        _ => {}
    }
    abandon(engine, asset).await;
}

/// True if all of the backup came.
async fn receive(engine: &Engine, asset: &Arc<Asset>, client: &ReplyTo) -> bool {
    let env = engine.env();
    let (account, stream) = asset.key();
    let mut transfer = Transfer::new(env.now_ns(), client.client.clone());
    advisory::restore_begun(asset, &transfer);
    let deliver_subject = format!("$JS.SNAPSHOT.RESTORE.{stream}.{:016x}", env.random.draw());
    let (chunks, mut waiting) = mpsc::channel(WAITING_CHUNKS);
    let handler = Arc::new(Chunks { chunks });
    let listening = Listening::open(&env.bus, &account, &deliver_subject, handler);
    let response = RestoreResponse { deliver_subject };
    let response = api::respond(Verb::StreamRestore.response_name(), &response);
    engine.count_request(&account, false);
    let answer = |subject: Bytes, payload: Vec<u8>| {
        env.bus
            .publish(&account, &[Outgoing::new(subject, payload)]);
    };
    answer(client.subject.clone().into(), response.clone());
    crate::audit::tell_late(engine, client, &response);
    let mut session = Session::new(engine, asset);
    let outcome = loop {
        let Ok(Some(chunk)) = tokio::time::timeout(SILENCE_MAX, waiting.recv()).await else {
            break Err((None, Failure::Silence));
        };
        let Some(reply) = chunk.reply else {
            break Err((None, Failure::NoReply));
        };
        transfer.bytes += chunk.payload.len() as u64;
        if chunk.payload.is_empty() {
            break match session.end().await {
                Ok(()) => Ok(reply),
                Err(failure) => Err((Some(reply), failure)),
            };
        }
        match session.chunk(&chunk.payload).await {
            Ok(()) => answer(reply, Vec::new()),
            Err(failure) => break Err((Some(reply), failure)),
        }
    };
    drop(listening);
    let create_response = Verb::StreamCreate.response_name();
    match outcome {
        Ok(reply) => {
            advisory::stream_action(engine, &account, &stream, ActionKind::Create);
            advisory::restore_complete(asset, &transfer);
            let info = CreateResponse {
                info: stream_info(engine, asset),
                did_create: false,
            };
            answer(reply, api::respond(create_response, &info));
            true
        }
        Err((reply, failure)) => {
            tracing::warn!(account, stream, %failure, "restore of a stream failed");
            advisory::restore_complete(asset, &transfer);
            if let Some(reply) = reply {
                answer(reply, api::refuse(create_response, &failure.into()));
            }
            false
        }
    }
}

/// Has the stream deleted. Never ends, since that ends the stream's leadership.
async fn abandon(engine: &Engine, asset: &Asset) {
    loop {
        let given_up = asset.request(Action::Restore(Restore::Abandon)).await;
        if let Some(Ok(_)) = given_up {
            let assignment = asset.assignment.read().clone();
            let (group, name) = (assignment.group, assignment.config.name);
            engine
                .abandon_restore(assignment.account, name, group)
                .await;
        }
        tokio::time::sleep(ABANDON_RETRY).await;
    }
}

impl Engine {
    /// Tells the meta leader that the stream cannot be restored.
    async fn abandon_restore(&self, account: String, name: String, group: u64) {
        if self.meta().is_leader() {
            self.shared.remove_abandoned(account, name, group);
        } else if let Some(leader) = self.shared.meta_leader() {
            let question = Question::RestoreFailed {
                account,
                name,
                group,
            };
            let peers = &self.env().peers;
            peers.call(leader, question.encode(), ABANDON_RETRY).await;
        }
    }
}

/// A message of the client: a piece of the backup, or its end.
struct Chunk {
    reply: Option<Bytes>,
    payload: Bytes,
}

struct Chunks {
    chunks: mpsc::Sender<Chunk>,
}

impl Handler for Chunks {
    fn deliver(&self, message: &Incoming<'_>) {
        let chunk = Chunk {
            reply: message.reply.map(Bytes::copy_from_slice),
            payload: Bytes::copy_from_slice(message.payload),
        };
        // Who sends more than may wait gets a backup with a hole, which is refused.
        self.chunks.try_send(chunk).ok();
    }
}

/// Why a stream could not be made of a backup.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Backup(#[from] RestoreError),
    #[error("{0}")]
    Refused(#[from] ApiError),
    #[error("client sent nothing for {} seconds", SILENCE_MAX.as_secs())]
    Silence,
    #[error("chunks need a reply subject")]
    NoReply,
    #[error("the stream's leader changed")]
    Interrupted,
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> ApiError {
        match failure {
            Failure::Refused(error) => error,
            failure => ApiError::stream_restore(failure),
        }
    }
}

/// The part of a backup that has come and is not in the stream's log yet.
struct Session<'a> {
    asset: &'a Asset,
    reader: BackupReader,
    restoring: Restoring,
    messages: Vec<CopiedMessage>,
    message_bytes: usize,
}

impl<'a> Session<'a> {
    fn new(engine: &Engine, asset: &'a Asset) -> Self {
        let replicas = asset.read(|machine| replicas_of(machine.config()));
        let limits = consumer_limits(engine, asset, replicas, false);
        Session {
            asset,
            reader: BackupReader::new(ENTRY_BYTES_MAX),
            restoring: Restoring::new(asset.config(), limits),
            messages: Vec::new(),
            message_bytes: 0,
        }
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.reader.push(bytes);
        while let Some(entry) = self.reader.next_entry().map_err(RestoreError::from)? {
            match self.restoring.entry(entry)? {
                Restore::Messages(messages) => {
                    for message in messages {
                        self.message(message).await?;
                    }
                }
                part => self.store(part).await?,
            }
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Failure> {
        if !self.reader.is_complete() {
            return Err(RestoreError::CutOff.into());
        }
        let end = self.restoring.end()?;
        self.flush().await?;
        self.store(end).await
    }

    async fn message(&mut self, message: CopiedMessage) -> Result<(), Failure> {
        self.message_bytes += message.message.size();
        self.messages.push(message);
        let is_full = self.messages.len() >= MAX_BATCH_MESSAGES;
        match is_full || self.message_bytes >= MAX_BATCH_BYTES {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        self.message_bytes = 0;
        match std::mem::take(&mut self.messages) {
            messages if messages.is_empty() => Ok(()),
            messages => self.store(Restore::Messages(messages)).await,
        }
    }

    async fn store(&self, part: Restore) -> Result<(), Failure> {
        if !self.asset.share().fits(1) || self.asset.is_full() {
            return Err(Failure::Refused(match self.asset.config().storage {
                Storage::File => ApiError::STORAGE_RESOURCES_EXCEEDED,
                Storage::Memory => ApiError::MEMORY_RESOURCES_EXCEEDED,
            }));
        }
        match self.asset.request(Action::Restore(part)).await {
            Some(outcome) => outcome.map(drop).map_err(Failure::Refused),
            None => Err(Failure::Interrupted),
        }
    }
}
