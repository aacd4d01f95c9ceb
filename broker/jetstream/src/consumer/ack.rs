//! Acknowledgements: the subjects they go to and the verbs they carry.

use bytes::Bytes;

/// What the tail of an ack subject says about one delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AckToken {
    /// How often the message was delivered, this delivery included.
    pub deliveries: u64,
    pub stream_seq: u64,
    pub consumer_seq: u64,
    /// When the message was stored, nanoseconds since 1970.
    pub time_ns: i64,
    /// How many messages wait for the consumer after this one.
    pub num_pending: u64,
}

/// The part of ack subjects that is the same for all deliveries of a consumer:
/// `$JS.ACK.<stream>.<consumer>.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckPrefix(Bytes);

impl AckPrefix {
    /// What all ack subjects of the consumer begin with.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn new(stream: &str, consumer: &str) -> AckPrefix {
        AckPrefix(Bytes::from(format!("$JS.ACK.{stream}.{consumer}.")))
    }

    /// Appends the whole ack subject of one delivery to `out`.
    pub fn write(&self, token: &AckToken, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
        push_number(out, token.deliveries);
        out.push(b'.');
        push_number(out, token.stream_seq);
        out.push(b'.');
        push_number(out, token.consumer_seq);
        out.push(b'.');
        if token.time_ns < 0 {
            out.push(b'-');
        }
        push_number(out, token.time_ns.unsigned_abs());
        out.push(b'.');
        push_number(out, token.num_pending);
    }

    /// Length of the ack subject of one delivery.
    pub fn length(&self, token: &AckToken) -> usize {
        let numbers = [
            token.deliveries,
            token.stream_seq,
            token.consumer_seq,
            token.time_ns.unsigned_abs(),
            token.num_pending,
        ];
        let digits: usize = numbers.into_iter().map(digits).sum();
        self.0.len() + digits + usize::from(token.time_ns < 0) + numbers.len() - 1
    }
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut text = [0; 20];
    let mut start = text.len();
    loop {
        start -= 1;
        text[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&text[start..]);
        }
    }
}

/// Names the consumer an ack subject belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckSubject<'a> {
    /// The JetStream domain of the 11 token form; empty for none.
    pub domain: &'a [u8],
    pub stream: &'a [u8],
    pub consumer: &'a [u8],
    pub token: AckToken,
}

impl<'a> AckSubject<'a> {
    /// Reads `$JS.ACK.<stream>.<consumer>.<deliveries>.<sseq>.<cseq>.<time>.<pending>` or the
    /// longer form that puts `<domain>.<account hash>.` before the stream and may end with tokens
    /// that are ignored. `None` if it is neither.
    pub fn parse(subject: &'a [u8]) -> Option<AckSubject<'a>> {
        let rest = subject.strip_prefix(b"$JS.ACK.")?;
        let mut tokens = [&[][..]; 9];
        let mut count = 0;
        for token in rest.split(|&byte| byte == b'.') {
            if let Some(slot) = tokens.get_mut(count) {
                *slot = token;
            }
            count += 1;
        }
        let (domain, at) = match count {
            7 => (&[][..], 0),
            9.. => (tokens[0], 2),
            _ => return None,
        };
        let number = |index: usize| parse_number(tokens[at + index]);
        Some(AckSubject {
            domain: if domain == b"_" { &[] } else { domain },
            stream: tokens[at],
            consumer: tokens[at + 1],
            token: AckToken {
                deliveries: number(2)?,
                stream_seq: number(3)?,
                consumer_seq: number(4)?,
                time_ns: i64::try_from(number(5)?).ok()?,
                num_pending: number(6)?,
            },
        })
    }
}

fn parse_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, &byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// What a client says about a delivered message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckVerb<'a> {
    /// Done.
    Ack,
    /// Done, and send more: the payload is that of a pull request.
    Next(&'a [u8]),
    /// Not done: deliver again, at once or after a delay.
    Nak { delay_ns: Option<i64> },
    /// Working on it: start the ack wait again.
    InProgress,
    /// Never deliver it again.
    Terminate { reason: &'a [u8] },
    /// Not a verb; ignored.
    Unknown,
}

impl<'a> AckVerb<'a> {
    pub fn parse(payload: &'a [u8]) -> AckVerb<'a> {
        match payload {
            b"" | b"+ACK" | b"+OK" => AckVerb::Ack,
            b"+WPI" => AckVerb::InProgress,
            _ => {
                if let Some(request) = payload.strip_prefix(b"+NXT") {
                    AckVerb::Next(request)
                } else if let Some(delay) = payload.strip_prefix(b"-NAK") {
                    AckVerb::Nak {
                        delay_ns: parse_delay(delay.trim_ascii()),
                    }
                } else if let Some(reason) = payload.strip_prefix(b"+TERM") {
                    AckVerb::Terminate {
                        reason: reason.trim_ascii(),
                    }
                } else {
                    AckVerb::Unknown
                }
            }
        }
    }
}

/// A delay as JSON `{"delay": nanoseconds}` or as a duration such as `1.5s`. An unreadable delay
/// counts as none.
fn parse_delay(text: &[u8]) -> Option<i64> {
    #[derive(serde::Deserialize)]
    struct Options {
        #[serde(default)]
        delay: i64,
    }
    match text.first()? {
        b'{' => serde_json::from_slice::<Options>(text)
            .ok()
            .map(|options| options.delay),
        _ => crate::duration::parse(std::str::from_utf8(text).ok()?),
    }
}

#[cfg(test)]
mod tests;
