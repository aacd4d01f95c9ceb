//! Clients behind a proxy that says whose connections it passes on.
//!
//! The header comes before anything else that the client sends, TLS included, and may be absent.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use wire::proxy::{self, Parsed};

use crate::{
    hub::Hub,
    listener::{Greeting, Io, secure},
    options::HandshakeFirst,
};

/// Time for the whole header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// What came before the client's own bytes.
struct Header {
    source: Option<SocketAddr>,
    /// Bytes that are the client's own after all.
    unread: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Header(#[from] proxy::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Reads the header, if there is one, and goes on as without a proxy.
pub(crate) async fn welcome(hub: Arc<Hub>, mut stream: TcpStream, mut greeting: Greeting) {
    greeting.hide_address();
    let tls = hub.tls();
    let handshake_first = tls.as_ref().map(|tls| tls.handshake_first);
    let greets = match handshake_first {
        None | Some(HandshakeFirst::No) => true,
        Some(HandshakeFirst::Yes) => false,
        Some(HandshakeFirst::Auto(pause)) => timeout(pause, stream.peek(&mut [0])).await.is_err(),
    };
    if greets && stream.write_all(&greeting.line()).await.is_err() {
        return;
    }
    let peer = greeting.peer();
    let header = match timeout(HEADER_TIMEOUT, read(&mut stream)).await {
        Ok(Ok(header)) => header,
        Ok(Err(error)) => {
            tracing::warn!(%peer, %error, "PROXY protocol header cannot be read");
            return;
        }
        Err(_) => {
            tracing::debug!(%peer, "PROXY protocol header did not come in time");
            return;
        }
    };
    if let Some(source) = header.source {
        greeting.come_from(SocketAddr::new(source.ip().to_canonical(), source.port()));
    }
    match tls {
        Some(tls) if header.unread.is_empty() => secure(hub, stream, greeting, tls, greets).await,
        Some(tls) if !tls.allow_non_tls || !greets => {
            // No handshake begins with these bytes.
            let mut line = Vec::new();
            let text = wire::Error::TlsRequired.text().unwrap_or_default();
            wire::encode::err(&mut line, &text);
            let _ = stream.write_all(&line).await;
        }
        _ => {
            let driver = hub.start_client(Io::Plain(stream), greeting, !greets);
            driver.with_leftover(header.unread).run().await;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Result<Header, Error> {
    let mut bytes = Vec::new();
    let mut first = [0];
    // The beginning of a handshake must stay where it is.
    if stream.peek(&mut first).await? == 0 || !proxy::may_begin_with(first[0]) {
        return Ok(Header {
            source: None,
            unread: bytes,
        });
    }
    loop {
        match proxy::parse(&bytes)? {
            Parsed::Incomplete { more } => {
                let read = (&mut *stream)
                    .take(more as u64)
                    .read_buf(&mut bytes)
                    .await?;
                if read == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
            }
            Parsed::Absent => {
                return Ok(Header {
                    source: None,
                    unread: bytes,
                });
            }
            Parsed::Complete { source } => {
                return Ok(Header {
                    source,
                    unread: Vec::new(),
                });
            }
        }
    }
}
