//! TLS on the client port and between servers.

use std::{sync::Arc, time::Duration};

use hub::{ClusterOptions, HandshakeFirst, RouteTls, TlsOptions};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
    },
};

use crate::support::{Client, MODERN, Server, Users, cluster, eventually, options};

fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

pub async fn secured(
    handshake_first: HandshakeFirst,
    allow_non_tls: bool,
) -> (Server, TlsConnector) {
    secured_at_rate(handshake_first, allow_non_tls, None).await
}

async fn secured_at_rate(
    handshake_first: HandshakeFirst,
    allow_non_tls: bool,
    connection_rate_limit: Option<u64>,
) -> (Server, TlsConnector) {
    let (config, client) = configs();
    let mut options = options("NTLS");
    let timeout = Duration::from_secs(10);
    options.tls = Some(TlsOptions {
        config,
        verify: false,
        timeout,
        handshake_first,
        allow_non_tls,
        connection_rate_limit,
    });
    (
        Server::with(options, Users::default()).await,
        TlsConnector::from(client),
    )
}

pub async fn encrypt(connector: &TlsConnector, stream: TcpStream) -> Client<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    Client::new(connector.connect(name, stream).await.unwrap())
}

async fn talk(client: &mut Client<TlsStream<TcpStream>>) {
    client.send(MODERN).await;
    let payload = "x".repeat(300_000);
    client
        .send(format!("SUB foo 1\r\nPUB foo 300000\r\n{payload}\r\n"))
        .await;
    client
        .expect(format!("MSG foo 1 300000\r\n{payload}\r\n"))
        .await;
}

#[tokio::test]
async fn info_comes_first_and_then_everything_is_encrypted() {
    let (server, connector) = secured(HandshakeFirst::No, false).await;
    let mut plain = Client::new(TcpStream::connect(server.clients).await.unwrap());
    assert_eq!(plain.info().await["tls_required"], true);
    let mut client = encrypt(&connector, plain.into_stream()).await;
    talk(&mut client).await;
    let snapshot = server.hub.connections().remove(0);
    assert_eq!(snapshot.tls_version, Some("1.3"));
    assert!(snapshot.tls_cipher.unwrap().starts_with("TLS_"));
    // A delivery from somebody else's task.
    let mut other = Client::new(TcpStream::connect(server.clients).await.unwrap());
    other.info().await;
    let mut other = encrypt(&connector, other.into_stream()).await;
    other.send(MODERN).await;
    other.send("PUB foo 2\r\nhi\r\n").await;
    client.expect("MSG foo 1 2\r\nhi\r\n").await;
}

#[tokio::test]
async fn plain_text_is_refused_where_tls_is_required() {
    let (server, _) = secured(HandshakeFirst::No, false).await;
    let mut plain = server.connect().await;
    plain.send(MODERN).await;
    plain
        .expect("-ERR 'Secure Connection - TLS Required'\r\n")
        .await;
    plain.expect_end().await;
}

#[tokio::test]
async fn both_kinds_may_share_a_port() {
    let (server, connector) = secured(HandshakeFirst::No, true).await;
    let mut plain = Client::new(TcpStream::connect(server.clients).await.unwrap());
    let info = plain.info().await;
    assert_eq!(
        (info.get("tls_required"), &info["tls_available"]),
        (None, &true.into())
    );
    plain.send("CONNECT {\"verbose\":false}\r\n").await;
    plain.sync().await;
    let first = server.connect().await;
    talk(&mut encrypt(&connector, first.into_stream()).await).await;
}

#[tokio::test]
async fn the_handshake_may_come_first() {
    for mode in [
        HandshakeFirst::Yes,
        HandshakeFirst::Auto(Duration::from_secs(10)),
    ] {
        let (server, connector) = secured(mode, false).await;
        let stream = TcpStream::connect(server.clients).await.unwrap();
        let mut client = encrypt(&connector, stream).await;
        client.info().await;
        talk(&mut client).await;
    }
    let (server, connector) = secured(HandshakeFirst::Auto(Duration::from_millis(20)), false).await;
    let hesitant = server.connect().await;
    talk(&mut encrypt(&connector, hesitant.into_stream()).await).await;
}

#[tokio::test]
async fn routes_can_be_encrypted() {
    let (server, client) = configs();
    let member = |id: &str| {
        let mut options = options(id);
        let tls = RouteTls {
            server: server.clone(),
            client: client.clone(),
            timeout: Duration::from_secs(10),
        };
        options.cluster = Some(ClusterOptions {
            tls: Some(tls),
            ..cluster()
        });
        options
    };
    let a = Server::with(member("NA"), Users::default()).await;
    let b = Server::with(member("NB"), Users::default()).await;
    b.join(&[&a]);
    eventually("the route is up", || a.hub.route_peers().len() == 1).await;
    let mut listener = b.modern().await;
    listener.send("SUB foo 1\r\n").await;
    let account = a.hub.account("$G");
    eventually("interest has spread", || {
        a.hub.has_interest(&account, "foo")
    })
    .await;
    let mut publisher = a.modern().await;
    publisher.send("PUB foo 1\r\nx\r\n").await;
    listener.expect("MSG foo 1 1\r\nx\r\n").await;
}

#[tokio::test]
async fn handshakes_beyond_the_rate_are_refused() {
    let (server, _) = secured_at_rate(HandshakeFirst::No, false, Some(0)).await;
    let mut client = server.connect().await;
    // The first byte of a handshake.
    client.send([0x16]).await;
    client
        .expect("-ERR 'Connection throttling is active. Please try again later.'\r\n")
        .await;
}
