//! What is between a connection and its socket, if it is not the bare socket.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsStream;
use wire::CloseReason;

use crate::websocket::WebSocket;

/// A transport with a state of its own, which only the connection's task may touch. Plain sockets
/// are in [`crate::connection::Connection`], where everybody can write to them.
pub(crate) enum Transport {
    Tls(Box<TlsStream<TcpStream>>),
    WebSocket(Box<WebSocket>),
}

impl Transport {
    /// Adds what the transport itself says at the end.
    pub fn say_goodbye(&mut self, reason: CloseReason) {
        match self {
            Transport::Tls(_) => {}
            Transport::WebSocket(websocket) => websocket.say_goodbye(reason),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Tls(tls) => Pin::new(tls).poll_read(cx, room),
            Transport::WebSocket(websocket) => Pin::new(websocket).poll_read(cx, room),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Transport::WebSocket(websocket) => Pin::new(websocket).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Transport::WebSocket(websocket) => Pin::new(websocket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Transport::WebSocket(websocket) => Pin::new(websocket).poll_shutdown(cx),
        }
    }
}
