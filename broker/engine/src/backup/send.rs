//! Sends a stream to a client, no faster than the client confirms.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jetstream::api::stream::SnapshotRequest;
use jetstream::snapshot::Contents;
use tokio::sync::Semaphore;
use wire::headers::Builder;

use super::interest::Interest;
use super::listening::Listening;
use super::pages::Pages;
use crate::advisory::{self, Transfer};
use crate::asset::Asset;
use crate::bus::{Handler, Incoming, Outgoing};
use crate::engine::Engine;

/// How long a client may take to confirm a chunk.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take until it listens.
const INTEREST_TIMEOUT: Duration = Duration::from_secs(2);
const CHUNK_BYTES_DEFAULT: i64 = 128 * 1024;
const CHUNK_BYTES_MAX: i64 = 1024 * 1024;
const WINDOW_BYTES_DEFAULT: i64 = 8 * 1024 * 1024;
const WINDOW_BYTES_MAX: i64 = 32 * 1024 * 1024;
const BYTES_MIN: i64 = 1024;

/// How much is sent at once, and how much of it unconfirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sizes {
    chunk_bytes: usize,
    window_chunks: usize,
}

impl Sizes {
    fn of(request: &SnapshotRequest) -> Sizes {
        let within = |wanted: i64, default: i64, max: i64| match wanted {
            0 => default,
            wanted => wanted.clamp(BYTES_MIN, max),
        };
        let chunk = within(request.chunk_size, CHUNK_BYTES_DEFAULT, CHUNK_BYTES_MAX);
        let window = within(request.window_size, WINDOW_BYTES_DEFAULT, WINDOW_BYTES_MAX);
        // Both are positive and fit.
        Sizes {
            chunk_bytes: chunk as usize,
            window_chunks: (window.max(chunk) / chunk) as usize,
        }
    }
}

/// Why a backup ended before its end.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no interest")]
    NoInterest,
    #[error("no flow response")]
    NoFlow,
    #[error(transparent)]
    Store(#[from] messages::Error),
}

impl Failure {
    fn status(&self) -> (u16, String) {
        match self {
            Failure::NoInterest => (408, "No Interest".to_owned()),
            Failure::NoFlow => (408, "No Flow Response".to_owned()),
            Failure::Store(error) => (500, error.to_string()),
        }
    }
}

/// Sends all of a backup, and tells that it began and ended.
pub async fn send(
    engine: Engine,
    asset: Arc<Asset>,
    request: SnapshotRequest,
    contents: Contents,
    transfer: Transfer,
) {
    advisory::snapshot_begun(&asset, &contents.state, &transfer);
    let deliver = Bytes::from(request.deliver_subject.clone());
    let mut pages = Pages::new(asset.clone(), contents);
    let outcome = stream_out(&engine, &asset, &request, &mut pages).await;
    let headers = match &outcome {
        Ok(()) => Builder::with_status(204, ""),
        Err(failure) => {
            let (code, description) = failure.status();
            let (account, stream) = asset.key();
            tracing::warn!(account, stream, %failure, "backup ended early");
            Builder::with_status(code, &description)
        }
    };
    let end = Outgoing {
        headers: headers.build().into(),
        ..Outgoing::new(deliver, Bytes::new())
    };
    asset.env.bus.publish(&asset.account(), &[end]);
    let error = outcome.err().map(|failure| failure.to_string());
    advisory::snapshot_complete(&asset, &transfer, error.unwrap_or_default());
}

async fn stream_out(
    engine: &Engine,
    asset: &Arc<Asset>,
    request: &SnapshotRequest,
    pages: &mut Pages,
) -> Result<(), Failure> {
    let sizes = Sizes::of(request);
    let bus = &engine.env().bus;
    let (account, stream) = asset.key();
    let acks = format!(
        "$JS.SNAPSHOT.ACK.{stream}.{:016x}",
        engine.env().random.draw()
    );
    let window = Arc::new(Window::new(sizes.window_chunks));
    let _listening = Listening::open(bus, &account, &format!("{acks}.>"), window.clone());
    let interest = Interest::watch(bus, &account, &request.deliver_subject);
    // Who does not listen by then is found out below.
    tokio::time::timeout(INTEREST_TIMEOUT, interest.begins())
        .await
        .ok();
    for number in 1u64.. {
        tokio::select! {
            biased;
            () = interest.ends() => return Err(Failure::NoInterest),
            room = tokio::time::timeout(ACK_TIMEOUT, window.take()) => {
                room.map_err(|_| Failure::NoFlow)?;
            }
        }
        let chunk = pages.next(sizes.chunk_bytes)?;
        let length = chunk.len();
        let is_last = length < sizes.chunk_bytes;
        let message = Outgoing {
            reply: (!is_last).then(|| Bytes::from(format!("{acks}.{length}.{number}"))),
            ..Outgoing::new(request.deliver_subject.clone(), chunk)
        };
        if length > 0 {
            bus.publish(&account, &[message]);
        }
        if is_last {
            break;
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// How many chunks may be sent before the next confirmation.
struct Window {
    chunks: usize,
    room: Semaphore,
}

impl Window {
    fn new(chunks: usize) -> Self {
        Window {
            chunks,
            room: Semaphore::new(chunks),
        }
    }

    async fn take(&self) {
        // The semaphore is never closed.
        if let Ok(room) = self.room.acquire().await {
            room.forget();
        }
    }
}

impl Handler for Window {
    fn deliver(&self, _: &Incoming<'_>) {
        // A client that confirms more than it got does not get more at once.
        if self.room.available_permits() < self.chunks {
            self.room.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(chunk_size: i64, window_size: i64) -> (usize, usize) {
        let sizes = Sizes::of(&SnapshotRequest {
            chunk_size,
            window_size,
            ..SnapshotRequest::default()
        });
        (sizes.chunk_bytes, sizes.window_chunks)
    }

    #[test]
    fn sizes_have_defaults_and_limits() {
        assert_eq!(sizes(0, 0), (128 * 1024, 64));
        assert_eq!(sizes(1, 1), (1024, 1));
        assert_eq!(sizes(-5, i64::MAX), (1024, 32 * 1024));
        assert_eq!(sizes(i64::MAX, 2048), (1024 * 1024, 1));
    }

    #[tokio::test]
    async fn confirmations_beyond_the_window_do_not_count() {
        let window = Window::new(2);
        let ack = Incoming {
            account: "A",
            subject: b"ack",
            reply: None,
            headers: b"",
            payload: b"",
            connection: 0,
        };
        for _ in 0..5 {
            window.deliver(&ack);
        }
        window.take().await;
        window.take().await;
        assert_eq!(window.room.available_permits(), 0);
        window.deliver(&ack);
        assert_eq!(window.room.available_permits(), 1);
    }
}
