//! Clients behind a proxy.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    support::{Client, MODERN, Server, Users, eventually, options},
    tls,
};

const LINE: &str = "PROXY TCP4 192.0.2.7 10.0.0.1 1234 4222\r\n";

async fn behind_proxies() -> Server {
    let mut options = options("NPROXY");
    options.limits.proxy_protocol = true;
    Server::with(options, Users::default()).await
}

/// The address under which the only client is known, once it is.
async fn address(server: &Server) -> String {
    eventually("the client", || !server.hub.connections().is_empty()).await;
    server.hub.connections()[0].peer.to_string()
}

#[tokio::test]
async fn a_client_is_where_the_proxy_says() {
    let server = behind_proxies().await;
    let mut client = Client::new(TcpStream::connect(server.clients).await.unwrap());
    // The proxy's own address is nobody's business.
    assert_eq!(client.info().await.get("client_ip"), None);
    client.send(format!("{LINE}{MODERN}PING\r\n")).await;
    client.expect("PONG\r\n").await;
    assert_eq!(client.info().await["client_ip"], "192.0.2.7");
    assert_eq!(address(&server).await, "192.0.2.7:1234");
}

#[tokio::test]
async fn a_header_may_come_in_parts_or_not_at_all() {
    let server = behind_proxies().await;
    let mut client = server.connect().await;
    for byte in LINE.as_bytes() {
        client.send([*byte]).await;
    }
    client.send(MODERN).await;
    client.sync().await;
    assert_eq!(address(&server).await, "192.0.2.7:1234");
    drop(client);
    eventually("the end", || server.hub.connections().is_empty()).await;
    // `P` could be the beginning of a header.
    let mut client = server.connect().await;
    client.send("PING\r\n").await;
    client.expect("PONG\r\n").await;
    assert!(address(&server).await.starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn the_proxy_itself_may_look_whether_the_server_is_there() {
    let server = behind_proxies().await;
    let mut client = server.connect().await;
    client.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0PING\r\n").await;
    client.expect("PONG\r\n").await;
    assert!(address(&server).await.starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn a_broken_header_ends_the_connection() {
    let server = behind_proxies().await;
    for header in ["PROXY TCP4 nonsense\r\n", &"PROXY ".repeat(20)] {
        let mut stream = TcpStream::connect(server.clients).await.unwrap();
        stream.write_all(header.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // INFO, and nothing more: what was sent behind the header may reset the connection.
        stream.read_to_end(&mut rest).await.ok();
        assert!(!rest.windows(4).any(|word| word == b"PONG"));
    }
    assert!(server.hub.connections().is_empty());
}

#[tokio::test]
async fn a_handshake_comes_behind_the_header() {
    for handshake_first in [
        hub::HandshakeFirst::No,
        hub::HandshakeFirst::Yes,
        hub::HandshakeFirst::Auto(Duration::from_secs(10)),
    ] {
        let (server, connector) = tls::secured(handshake_first, false).await;
        let mut limits = server.hub.options().limits.clone();
        limits.proxy_protocol = true;
        server.hub.set_limits(limits);
        let mut stream = TcpStream::connect(server.clients).await.unwrap();
        if handshake_first == hub::HandshakeFirst::No {
            let mut plain = Client::new(stream);
            plain.info().await;
            stream = plain.into_stream();
        }
        stream.write_all(LINE.as_bytes()).await.unwrap();
        let mut client = tls::encrypt(&connector, stream).await;
        if handshake_first != hub::HandshakeFirst::No {
            client.info().await;
        }
        client.send("PING\r\n").await;
        client.expect("PONG\r\n").await;
        assert_eq!(address(&server).await, "192.0.2.7:1234");
    }
}
