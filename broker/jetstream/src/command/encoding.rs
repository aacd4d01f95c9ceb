//! The binary form of commands.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{
    Action, Command, ConsumerProgress, Copied, CopiedMessage, MAX_ATOMIC_MESSAGES,
    MAX_BATCH_MESSAGES, ProposalId, Publish, Purge, Restore,
};
use crate::codec::{Damaged, Reader, Writer};
use crate::consumer::{Progress, State};

/// Largest subject, header block or payload in a command: the broker's largest `max_payload`.
pub const MAX_FIELD_BYTES: usize = 64 * 1024 * 1024;
/// Largest configuration as JSON.
const MAX_CONFIG_BYTES: usize = 8 * 1024 * 1024;
/// Most consumers in one progress command.
pub const MAX_PROGRESS_CONSUMERS: usize = 65_536;
/// Longest consumer name, with room to spare.
const MAX_NAME_BYTES: usize = 1024;

const PUBLISH_BATCH: u8 = 1;
const DELETE_MSG: u8 = 2;
const PURGE: u8 = 3;
const UPDATE_CONFIG: u8 = 4;
const CREATE_CONSUMER: u8 = 5;
const UPDATE_CONSUMER: u8 = 6;
const DELETE_CONSUMER: u8 = 7;
const CONSUMER_PROGRESS: u8 = 8;
const TICK: u8 = 9;
const ATOMIC_BATCH: u8 = 10;
const COPY: u8 = 11;
const RESTORE: u8 = 12;

const RESTORE_BEGIN: u8 = 1;
const RESTORE_CONSUMER: u8 = 2;
const RESTORE_MESSAGES: u8 = 3;
const RESTORE_END: u8 = 4;
const RESTORE_ABANDON: u8 = 5;

impl Command {
    /// The binary form for the stream's log.
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::with_capacity(self.size_hint());
        out.u8(self.action.kind());
        out.i64(self.time_ns);
        out.option(self.proposal, |out, id| {
            out.u64(id.origin);
            out.u64(id.number);
        });
        write_action(&mut out, &self.action);
        out.finish()
    }

    /// Reads what [`encode`](Command::encode) wrote, without copying subjects, headers or payloads.
    ///
    /// # Errors
    /// The input was not written by `encode`: the log is damaged, or of another version.
    pub fn decode(input: Bytes) -> Result<Command, Damaged> {
        let mut input = Reader::new(input);
        let kind = input.u8("command kind")?;
        let time_ns = input.i64("command time")?;
        let proposal = input.option("proposal id", |input| {
            Ok(ProposalId {
                origin: input.u64("proposal origin")?,
                number: input.u64("proposal number")?,
            })
        })?;
        let action = read_action(kind, &mut input)?;
        input.finish("end of command")?;
        Ok(Command {
            time_ns,
            proposal,
            action,
        })
    }

    fn size_hint(&self) -> usize {
        match &self.action {
            Action::PublishBatch(messages) | Action::AtomicBatch { messages, .. } => {
                128 + messages
                    .iter()
                    .map(|message| message.size() + 12)
                    .sum::<usize>()
            }
            Action::Copy(copied) => {
                let messages = copied.messages.iter();
                256 + messages.map(|copy| copy.message.size() + 32).sum::<usize>()
            }
            Action::Restore(Restore::Messages(messages)) => {
                256 + messages
                    .iter()
                    .map(|copy| copy.message.size() + 32)
                    .sum::<usize>()
            }
            _ => 256,
        }
    }
}

impl Publish {
    /// Bytes of subject, headers and payload together.
    pub fn size(&self) -> usize {
        self.subject.len() + self.headers.len() + self.payload.len()
    }
}

impl Action {
    fn kind(&self) -> u8 {
        match self {
            Action::PublishBatch(_) => PUBLISH_BATCH,
            Action::AtomicBatch { .. } => ATOMIC_BATCH,
            Action::Copy(_) => COPY,
            Action::DeleteMsg { .. } => DELETE_MSG,
            Action::Purge(_) => PURGE,
            Action::UpdateConfig(_) => UPDATE_CONFIG,
            Action::CreateConsumer { .. } => CREATE_CONSUMER,
            Action::UpdateConsumer { .. } => UPDATE_CONSUMER,
            Action::DeleteConsumer { .. } => DELETE_CONSUMER,
            Action::ConsumerProgress(_) => CONSUMER_PROGRESS,
            Action::Tick => TICK,
            Action::Restore(_) => RESTORE,
        }
    }
}

fn write_action(out: &mut Writer, action: &Action) {
    match action {
        Action::PublishBatch(messages) => write_messages(out, messages),
        Action::AtomicBatch { id, messages } => {
            out.str(id);
            write_messages(out, messages);
        }
        Action::Copy(copied) => write_copied(out, copied),
        Action::DeleteMsg { seq, no_erase } => {
            out.u64(*seq);
            out.bool(*no_erase);
        }
        Action::Purge(purge) => {
            out.bytes(&purge.filter);
            out.u64(purge.upto_seq);
            out.u64(purge.keep);
        }
        Action::UpdateConfig(config) => write_json(out, config),
        Action::CreateConsumer { name, config } | Action::UpdateConsumer { name, config } => {
            out.str(name);
            write_json(out, config);
        }
        Action::DeleteConsumer { name } => out.str(name),
        Action::ConsumerProgress(consumers) => {
            out.u64(consumers.len() as u64);
            for progress in consumers {
                out.str(&progress.consumer);
                out.bytes(&progress.progress.encode());
            }
        }
        Action::Tick => {}
        Action::Restore(part) => write_restore(out, part),
    }
}

fn read_action(kind: u8, input: &mut Reader) -> Result<Action, Damaged> {
    Ok(match kind {
        PUBLISH_BATCH => Action::PublishBatch(read_messages(input, MAX_BATCH_MESSAGES)?),
        ATOMIC_BATCH => Action::AtomicBatch {
            id: read_name(input)?,
            messages: read_messages(input, MAX_ATOMIC_MESSAGES)?,
        },
        COPY => Action::Copy(read_copied(input)?),
        DELETE_MSG => Action::DeleteMsg {
            seq: input.u64("sequence")?,
            no_erase: input.bool("erase")?,
        },
        PURGE => Action::Purge(Purge {
            filter: input.bytes(MAX_FIELD_BYTES, "purge filter")?,
            upto_seq: input.u64("purge sequence")?,
            keep: input.u64("purge keep")?,
        }),
        UPDATE_CONFIG => Action::UpdateConfig(Box::new(read_json(input)?)),
        CREATE_CONSUMER => Action::CreateConsumer {
            name: read_name(input)?,
            config: Box::new(read_json(input)?),
        },
        UPDATE_CONSUMER => Action::UpdateConsumer {
            name: read_name(input)?,
            config: Box::new(read_json(input)?),
        },
        DELETE_CONSUMER => Action::DeleteConsumer {
            name: read_name(input)?,
        },
        CONSUMER_PROGRESS => Action::ConsumerProgress(read_progress(input)?),
        TICK => Action::Tick,
        RESTORE => Action::Restore(read_restore(input)?),
        _ => return Err(input.damaged("command kind")),
    })
}

fn write_messages(out: &mut Writer, messages: &[Publish]) {
    out.u64(messages.len() as u64);
    for message in messages {
        write_message(out, message);
    }
}

fn write_message(out: &mut Writer, message: &Publish) {
    out.bytes(&message.subject);
    out.bytes(&message.headers);
    out.bytes(&message.payload);
}

fn read_messages(input: &mut Reader, limit: usize) -> Result<Vec<Publish>, Damaged> {
    let count = input.count(limit, "publish count")?;
    (0..count).map(|_| read_message(input)).collect()
}

fn read_message(input: &mut Reader) -> Result<Publish, Damaged> {
    Ok(Publish {
        subject: input.bytes(MAX_FIELD_BYTES, "subject")?,
        headers: input.bytes(MAX_FIELD_BYTES, "headers")?,
        payload: input.bytes(MAX_FIELD_BYTES, "payload")?,
    })
}

fn write_copied(out: &mut Writer, copied: &Copied) {
    out.str(&copied.source);
    out.str(&copied.identity);
    out.u64(copied.after);
    out.u64(copied.up_to);
    write_copies(out, &copied.messages);
}

fn write_copies(out: &mut Writer, copies: &[CopiedMessage]) {
    out.u64(copies.len() as u64);
    for copy in copies {
        out.u64(copy.seq);
        out.i64(copy.time_ns);
        write_message(out, &copy.message);
    }
}

fn read_copied(input: &mut Reader) -> Result<Copied, Damaged> {
    Ok(Copied {
        source: input.string(MAX_FIELD_BYTES, "source")?,
        identity: read_name(input)?,
        after: input.u64("begin of copies")?,
        up_to: input.u64("end of copies")?,
        messages: read_copies(input)?,
    })
}

fn read_copies(input: &mut Reader) -> Result<Vec<CopiedMessage>, Damaged> {
    let mut copies = Vec::new();
    for _ in 0..input.count(MAX_BATCH_MESSAGES, "copy count")? {
        copies.push(CopiedMessage {
            seq: input.u64("copy sequence")?,
            time_ns: input.i64("copy time")?,
            message: read_message(input)?,
        });
    }
    Ok(copies)
}

fn write_restore(out: &mut Writer, part: &Restore) {
    match part {
        Restore::Begin { first_seq } => {
            out.u8(RESTORE_BEGIN);
            out.u64(*first_seq);
        }
        Restore::Consumer {
            name,
            config,
            state,
        } => {
            out.u8(RESTORE_CONSUMER);
            out.str(name);
            write_json(out, config);
            out.bytes(&state.encode());
        }
        Restore::Messages(messages) => {
            out.u8(RESTORE_MESSAGES);
            write_copies(out, messages);
        }
        Restore::Abandon => out.u8(RESTORE_ABANDON),
        Restore::End { last_seq } => {
            out.u8(RESTORE_END);
            out.u64(*last_seq);
        }
    }
}

fn read_restore(input: &mut Reader) -> Result<Restore, Damaged> {
    Ok(match input.u8("part of a backup")? {
        RESTORE_BEGIN => Restore::Begin {
            first_seq: input.u64("first sequence")?,
        },
        RESTORE_CONSUMER => Restore::Consumer {
            name: read_name(input)?,
            config: Box::new(read_json(input)?),
            state: State::decode(input.bytes(MAX_FIELD_BYTES, "consumer state")?)?,
        },
        RESTORE_MESSAGES => Restore::Messages(read_copies(input)?),
        RESTORE_END => Restore::End {
            last_seq: input.u64("last sequence")?,
        },
        RESTORE_ABANDON => Restore::Abandon,
        _ => return Err(input.damaged("part of a backup")),
    })
}

fn read_progress(input: &mut Reader) -> Result<Vec<ConsumerProgress>, Damaged> {
    let count = input.count(MAX_PROGRESS_CONSUMERS, "consumer count")?;
    let mut consumers = Vec::new();
    for _ in 0..count {
        let consumer = read_name(input)?;
        let progress = Progress::decode(input.bytes(MAX_FIELD_BYTES, "progress")?)?;
        consumers.push(ConsumerProgress { consumer, progress });
    }
    Ok(consumers)
}

fn read_name(input: &mut Reader) -> Result<String, Damaged> {
    input.string(MAX_NAME_BYTES, "consumer name")
}

/// Appends a configuration as JSON with its length.
pub(crate) fn write_json(out: &mut Writer, value: &impl Serialize) {
    out.bytes(&crate::json::to_vec(value));
}

/// Reads what [`write_json`] wrote.
pub(crate) fn read_json<T: DeserializeOwned>(input: &mut Reader) -> Result<T, Damaged> {
    let text = input.bytes(MAX_CONFIG_BYTES, "configuration")?;
    serde_json::from_slice(&text).map_err(|_| input.damaged("configuration"))
}
