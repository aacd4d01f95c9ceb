//! WebSocket clients, byte by byte.

use std::{net::SocketAddr, time::Duration};

use flate2::{Decompress, FlushDecompress};
use hub::{Cookies, Origins, WebSocketOptions};
use identity::PermissionRules;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{Client, DEADLINE, MODERN, Server, Users, eventually, options};

const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
/// First bytes of frames: all of a message, binary, compressed or not; close, ping and pong.
const BINARY: u8 = 0x82;
const COMPRESSED: u8 = 0xc2;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

async fn start(websocket: WebSocketOptions, users: Users) -> (Server, SocketAddr) {
    let mut options = options("NWS");
    options.websocket = Some(WebSocketOptions {
        host: "127.0.0.1".to_owned(),
        handshake_timeout: DEADLINE,
        ..websocket
    });
    let server = Server::with(options, users).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hub = server.hub.clone();
    tokio::spawn(async move { hub.serve_websockets(listener).await });
    (server, address)
}

struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
    /// What frames said that was not looked at yet.
    data: Vec<u8>,
}

impl Peer {
    /// Sends a request with more header lines; returns the head of the answer.
    async fn ask(address: SocketAddr, lines: &str) -> (Peer, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{REQUEST}{lines}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let (unread, data) = (Vec::new(), Vec::new());
        let mut peer = Peer {
            stream,
            unread,
            data,
        };
        loop {
            if let Some(end) = peer.unread.windows(4).position(|at| at == b"\r\n\r\n") {
                let head = peer.unread.drain(..end + 4).collect();
                return (peer, String::from_utf8(head).unwrap());
            }
            assert!(peer.fill().await, "the connection ended within the answer");
        }
    }

    async fn accepted(address: SocketAddr, lines: &str) -> Peer {
        let (peer, answer) = Peer::ask(address, lines).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        peer
    }

    async fn fill(&mut self) -> bool {
        let read = timeout(DEADLINE, self.stream.read_buf(&mut self.unread)).await;
        read.expect("no bytes in time").unwrap() > 0
    }

    async fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..126 => frame.push(0x80 | short as u8),
            long => {
                frame.push(0x80 | 126);
                frame.extend((long as u16).to_be_bytes());
            }
        }
        frame.extend(MASK);
        frame.extend(
            payload
                .iter()
                .zip(MASK.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        self.stream.write_all(&frame).await.unwrap();
    }

    /// The next frame: its first byte and its payload.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some((first, header, length)) = frame_header(&self.unread)
                && self.unread.len() >= header + length
            {
                let frame: Vec<u8> = self.unread.drain(..header + length).collect();
                return (first, frame[header..].to_vec());
            }
            assert!(self.fill().await, "the connection ended within a frame");
        }
    }

    /// Reads one frame of data, whole or compressed.
    async fn read_data(&mut self) {
        let (first, payload) = self.frame().await;
        match first {
            BINARY => self.data.extend(payload),
            COMPRESSED => self.data.extend(inflate(&payload)),
            _ => panic!("no data: {first:x} {payload:?}"),
        }
    }

    /// The next data are these, in however many frames.
    async fn expect(&mut self, data: &str) {
        while self.data.len() < data.len() {
            self.read_data().await;
        }
        let got: Vec<u8> = self.data.drain(..data.len()).collect();
        assert_eq!(String::from_utf8_lossy(&got), data);
    }

    async fn info(&mut self) -> serde_json::Value {
        let end = loop {
            if let Some(end) = self.data.windows(2).position(|pair| pair == b"\r\n") {
                break end + 2;
            }
            self.read_data().await;
        };
        let line: Vec<u8> = self.data.drain(..end).collect();
        serde_json::from_slice(line.strip_prefix(b"INFO ").expect("INFO")).unwrap()
    }

    async fn expect_end(&mut self) {
        assert!(!self.fill().await, "bytes before the end");
    }
}

/// First byte, length of the header, length of the payload.
fn frame_header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    match second {
        126 => Some((
            first,
            4,
            u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into(),
        )),
        127 => Some((
            first,
            10,
            u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize,
        )),
        short => Some((first, 2, short.into())),
    }
}

fn inflate(payload: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(100_000);
    let whole = [payload, &[0, 0, 0xff, 0xff]].concat();
    Decompress::new(false)
        .decompress_vec(&whole, &mut data, FlushDecompress::Sync)
        .unwrap();
    data
}

#[tokio::test]
async fn a_client_talks_in_frames() {
    let (server, address) = start(WebSocketOptions::default(), Users::default()).await;
    let mut other = server.modern().await;
    other.send("SUB from.web 1\r\n").await;
    other.sync().await;
    let mut peer = Peer::accepted(address, "").await;
    let info = peer.info().await;
    assert_eq!(info["port"], u64::from(address.port()));
    // Operations may be cut anywhere, by text frames too.
    peer.send(BINARY, MODERN.as_bytes()).await;
    peer.send(0x01, b"SUB to.web 7\r\nPI").await;
    peer.send(0x80, b"NG\r\n").await;
    peer.expect("PONG\r\n").await;
    assert_eq!(peer.info().await["connect_info"], true);
    peer.send(BINARY, b"PUB from.web 5\r\nhello\r\n").await;
    other.expect("MSG from.web 1 5\r\nhello\r\n").await;
    let long = "x".repeat(200_000);
    other.send(format!("PUB to.web 200000\r\n{long}\r\n")).await;
    peer.expect(&format!("MSG to.web 7 200000\r\n{long}\r\n"))
        .await;
    peer.send(PING, b"there?").await;
    assert_eq!(peer.frame().await, (PONG, b"there?".to_vec()));
    let shown = server.hub.connections();
    assert_eq!(shown.iter().filter(|one| one.is_websocket).count(), 1);
    peer.send(CLOSE, b"\x03\xe8bye").await;
    assert_eq!(peer.frame().await, (CLOSE, b"\x03\xe8".to_vec()));
    peer.expect_end().await;
    eventually("the connection is gone", || {
        server.hub.connections().len() == 1
    })
    .await;
}

#[tokio::test]
async fn long_messages_are_compressed_both_ways() {
    let websocket = WebSocketOptions {
        compression: true,
        ..WebSocketOptions::default()
    };
    let (server, address) = start(websocket, Users::default()).await;
    let mut other = server.modern().await;
    other.send("SUB from.web 1\r\n").await;
    other.sync().await;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let mut peer = Peer::accepted(address, offer).await;
    peer.info().await;
    peer.send(BINARY, MODERN.as_bytes()).await;
    peer.send(BINARY, b"SUB to.web 7\r\nPING\r\n").await;
    peer.expect("PONG\r\n").await;
    peer.info().await;
    let long = "x".repeat(1000);
    other.send(format!("PUB to.web 1000\r\n{long}\r\n")).await;
    let (first, payload) = peer.frame().await;
    assert_eq!((first, payload.len() < 100), (COMPRESSED, true));
    assert_eq!(
        inflate(&payload),
        format!("MSG to.web 7 1000\r\n{long}\r\n").into_bytes()
    );
    // "PUB from.web 5\r\nhello\r\n" as one stored block.
    let publish = b"PUB from.web 5\r\nhello\r\n";
    let stored = [&[0, 23, 0, !23, 0xff][..], publish, &[0]].concat();
    peer.send(COMPRESSED, &stored).await;
    other.expect("MSG from.web 1 5\r\nhello\r\n").await;
}

#[tokio::test]
async fn who_breaks_the_rules_is_told_and_leaves() {
    let (_server, address) = start(WebSocketOptions::default(), Users::default()).await;
    let mut peer = Peer::accepted(address, "").await;
    peer.info().await;
    // Not masked.
    peer.stream.write_all(b"\x82\x06PING\r\n").await.unwrap();
    let (first, payload) = peer.frame().await;
    assert_eq!((first, &payload[..2]), (CLOSE, &b"\x03\xea"[..]));
    peer.expect_end().await;
    // Not the client protocol.
    let mut peer = Peer::accepted(address, "").await;
    peer.info().await;
    peer.send(BINARY, b"NONSENSE\r\n").await;
    peer.expect("-ERR 'Unknown Protocol Operation'\r\n").await;
    let (first, payload) = peer.frame().await;
    assert_eq!((first, &payload[..2]), (CLOSE, &b"\x03\xea"[..]));
    peer.expect_end().await;
}

#[tokio::test]
async fn requests_that_are_not_granted() {
    let websocket = WebSocketOptions {
        origins: Origins {
            same: true,
            allowed: Vec::new(),
        },
        headers: vec![("X-Test".to_owned(), "a b".to_owned())],
        ..WebSocketOptions::default()
    };
    let (_server, address) = start(websocket, Users::default()).await;
    let (_, answer) = Peer::ask(address, "Origin: http://evil.example\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    let (_, answer) = Peer::ask(address, "Origin: http://localhost\r\n").await;
    assert!(answer.contains("\r\nX-Test: a b\r\n"), "{answer}");
    let mut plain = Client::new(TcpStream::connect(address).await.unwrap());
    plain.send("PING\r\n\r\n").await;
    assert_eq!(plain.line().await, "HTTP/1.1 400 Bad Request\r\n");
}

#[tokio::test]
async fn cookies_say_what_connect_does_not() {
    let websocket = WebSocketOptions {
        cookies: Cookies {
            user: Some("who".to_owned()),
            ..Cookies::default()
        },
        ..WebSocketOptions::default()
    };
    let users = Users {
        users: vec![("web", "A", PermissionRules::default())],
    };
    let (server, address) = start(websocket, users).await;
    let mut peer = Peer::accepted(
        address,
        "Cookie: a=b; who=web\r\nX-Forwarded-For: 192.0.2.7\r\n",
    )
    .await;
    assert_eq!(peer.info().await["client_ip"], "192.0.2.7");
    peer.send(BINARY, MODERN.as_bytes()).await;
    peer.send(BINARY, b"PING\r\n").await;
    peer.expect("PONG\r\n").await;
    assert_eq!(server.hub.connections()[0].user, "web");
    let mut peer = Peer::accepted(address, "").await;
    peer.info().await;
    peer.send(BINARY, MODERN.as_bytes()).await;
    peer.expect("-ERR 'Authorization Violation'\r\n").await;
}

#[tokio::test]
async fn half_a_request_does_not_stay() {
    let websocket = WebSocketOptions::default();
    let mut options = options("NWS");
    options.websocket = Some(WebSocketOptions {
        handshake_timeout: Duration::from_millis(50),
        ..websocket
    });
    let server = Server::with(options, Users::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hub = server.hub.clone();
    tokio::spawn(async move { hub.serve_websockets(listener).await });
    let mut client = Client::new(TcpStream::connect(address).await.unwrap());
    client.send("GET / HTTP/1.1\r\n").await;
    client.expect_end().await;
}
