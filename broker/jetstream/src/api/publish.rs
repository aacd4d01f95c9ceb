//! The reply to a publish.

use std::io::Write;

use serde::Serialize;

use crate::error::ApiError;
use crate::stream::PubAck;

#[derive(Serialize)]
struct Refused<'a> {
    error: &'a ApiError,
    stream: &'a str,
    seq: u64,
}

/// The beginning of every acknowledgement of one stream, prepared once.
#[derive(Clone, Debug)]
pub struct PubAckWriter {
    stream: String,
    prefix: Vec<u8>,
}

impl PubAckWriter {
    /// `domain` is the server's JetStream domain, empty if it has none.
    pub fn new(stream: &str, domain: &str) -> PubAckWriter {
        let mut prefix = format!("{{\"stream\":{}", quoted(stream));
        if !domain.is_empty() {
            prefix.push_str(&format!(",\"domain\":{}", quoted(domain)));
        }
        prefix.push_str(",\"seq\":");
        PubAckWriter {
            stream: stream.to_owned(),
            prefix: prefix.into_bytes(),
        }
    }

    /// Appends the reply to `out`.
    pub fn write(&self, outcome: &Result<PubAck, ApiError>, out: &mut Vec<u8>) {
        match outcome {
            Ok(ack) => {
                out.extend_from_slice(&self.prefix);
                // Writing to a vector does not fail.
                let _ = write!(out, "{}", ack.seq);
                if ack.duplicate {
                    out.extend_from_slice(b",\"duplicate\": true");
                }
                if let Some(value) = &ack.value {
                    let _ = write!(out, ",\"val\":{}", quoted(value));
                }
                if let Some(batch) = &ack.batch {
                    let (id, count) = (quoted(&batch.id), batch.count);
                    let _ = write!(out, ",\"batch\":{id},\"count\":{count}");
                }
                out.push(b'}');
            }
            Err(error) => {
                let refused = Refused {
                    error,
                    stream: &self.stream,
                    seq: 0,
                };
                out.extend_from_slice(&crate::json::to_vec(&refused));
            }
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::StoredBatch;

    fn reply(domain: &str, outcome: Result<PubAck, ApiError>) -> String {
        let mut out = Vec::new();
        PubAckWriter::new("T1", domain).write(&outcome, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn replies_have_the_form_clients_know() {
        let ack = PubAck {
            seq: 5,
            ..PubAck::default()
        };
        assert_eq!(reply("", Ok(ack.clone())), r#"{"stream":"T1","seq":5}"#);
        assert_eq!(
            reply("hub", Ok(ack.clone())),
            r#"{"stream":"T1","domain":"hub","seq":5}"#
        );
        let duplicate = PubAck {
            seq: 5,
            duplicate: true,
            ..PubAck::default()
        };
        assert_eq!(
            reply("", Ok(duplicate)),
            r#"{"stream":"T1","seq":5,"duplicate": true}"#
        );
        let counted = PubAck {
            value: Some("-7".into()),
            ..ack.clone()
        };
        assert_eq!(
            reply("", Ok(counted)),
            r#"{"stream":"T1","seq":5,"val":"-7"}"#
        );
        let id = "b1".to_owned();
        let batch = PubAck {
            batch: Some(Box::new(StoredBatch { id, count: 3 })),
            ..ack
        };
        assert_eq!(
            reply("", Ok(batch)),
            r#"{"stream":"T1","seq":5,"batch":"b1","count":3}"#
        );
        let expected = concat!(
            r#"{"error":{"code":400,"err_code":10060,"#,
            r#""description":"expected stream does not match"},"stream":"T1","seq":0}"#
        );
        assert_eq!(reply("", Err(ApiError::STREAM_NOT_MATCH)), expected);
    }
}
