//! Streams between servers that are not routes.
//!
//! The cluster port has one more use: a server may open a stream there, introduce itself with a
//! line `PEER <json>`, and whoever asked for such streams gets it, encrypted like a route.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::handshake;
use crate::{hub::Hub, options::ClusterOptions};

/// The verb of the introduction.
pub(super) const VERB: &[u8] = b"PEER ";

/// A stream between two servers, encrypted or not.
pub trait AsyncStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> AsyncStream for S {}

/// How a peer introduced itself on a stream of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerHello {
    /// What the peer gave to [`Hub::dial_peer`].
    pub hello: Value,
    pub server_id: String,
    pub peer: SocketAddr,
}

/// Takes over streams that peers open for other things than routing. Called on the task that
/// accepted the stream; spawn one for what takes time.
pub type PeerStreams = Arc<dyn Fn(PeerHello, Box<dyn AsyncStream>) + Send + Sync>;

/// The JSON of a `PEER` line.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Introduction {
    server_id: String,
    cluster: String,
    user: String,
    pass: String,
    hello: Value,
}

impl Hub {
    /// Hands streams opened with [`Hub::dial_peer`] to `take_over`.
    pub fn on_peer_stream(&self, take_over: PeerStreams) {
        *self.routes.peer_streams.lock() = Some(take_over);
    }

    /// Opens a stream to the cluster port at `address` (`host:port`) and introduces this server.
    /// What is written next reaches the other server's [`Hub::on_peer_stream`].
    pub async fn dial_peer(
        &self,
        address: &str,
        hello: &Value,
    ) -> io::Result<Box<dyn AsyncStream>> {
        let Some(cluster) = self.routes.options() else {
            return Err(io::Error::other(
                "no cluster is configured, so there are no peers",
            ));
        };
        let opened = tokio::time::timeout(cluster.auth_timeout, handshake::open(&cluster, address));
        let opened = opened
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let (user, pass) = cluster.user.clone().unwrap_or_default();
        let introduction = Introduction {
            server_id: self.options().server.server_id.clone(),
            cluster: cluster.name.clone(),
            user,
            pass,
            hello: hello.clone(),
        };
        let mut line = VERB.to_vec();
        line.extend_from_slice(&serde_json::to_vec(&introduction)?);
        line.extend_from_slice(b"\r\n");
        let mut stream = opened.into_stream();
        stream.write_all(&line).await?;
        stream.flush().await?;
        Ok(stream)
    }

    /// A peer sent a `PEER` line. `buffer` is everything read so far, `line_len` of it the line.
    pub(super) fn take_over(
        &self,
        buffer: &[u8],
        line_len: usize,
        stream: Box<dyn AsyncStream>,
        peer: SocketAddr,
    ) {
        let Some(cluster) = self.routes.options() else {
            return;
        };
        let json = buffer[VERB.len()..line_len].trim_ascii();
        let introduction: Introduction = serde_json::from_slice(json).unwrap_or_default();
        if !introduction.is_welcome(&cluster) {
            tracing::warn!(%peer, "peer stream refused: wrong cluster name or credentials");
            return;
        }
        let Some(take_over) = self.routes.peer_streams.lock().clone() else {
            tracing::debug!(%peer, "peer stream refused: nobody takes them yet");
            return;
        };
        let hello = PeerHello {
            hello: introduction.hello,
            server_id: introduction.server_id,
            peer,
        };
        let early = buffer[line_len..].to_vec();
        take_over(
            hello,
            Box::new(WithEarly {
                early,
                read: 0,
                stream,
            }),
        );
    }
}

impl Introduction {
    fn is_welcome(&self, cluster: &ClusterOptions) -> bool {
        let known = match &cluster.user {
            Some((user, pass)) => self.user == *user && self.pass == *pass,
            None => true,
        };
        known && self.cluster == cluster.name
    }
}

/// A stream whose first bytes were read together with the introduction.
struct WithEarly {
    early: Vec<u8>,
    read: usize,
    stream: Box<dyn AsyncStream>,
}

impl AsyncRead for WithEarly {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = &this.early[this.read..];
        if rest.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let now = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..now]);
        this.read += now;
        if this.read == this.early.len() {
            this.early = Vec::new();
            this.read = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WithEarly {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
