//! Thousands of connections that mean no good, and one pair of clients that goes on beside them.

use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{Client, Server, eventually};

const OF_EACH_KIND: usize = 350;
const FLOOD_SUBSCRIPTIONS: usize = 100;

/// Two clients that talk to each other.
struct GoodPair {
    asks: Client<TcpStream>,
    answers: Client<TcpStream>,
}

impl GoodPair {
    async fn new(server: &Server) -> GoodPair {
        let mut pair = GoodPair {
            asks: server.modern().await,
            answers: server.modern().await,
        };
        pair.answers.send("SUB good.ask 1\r\n").await;
        pair.answers.sync().await;
        pair.asks.send("SUB good.answer 1\r\n").await;
        pair.asks.sync().await;
        pair
    }

    async fn round_trip(&mut self) {
        self.asks.send("PUB good.ask good.answer 2\r\nhi\r\n").await;
        hear(&mut self.answers, "MSG good.ask 1 good.answer 2", "hi\r\n").await;
        self.answers.send("PUB good.answer 3\r\nyes\r\n").await;
        hear(&mut self.asks, "MSG good.answer 1 3", "yes\r\n").await;
    }
}

/// The next message, whatever pings come before it.
async fn hear(client: &mut Client<TcpStream>, line: &str, body: &str) {
    let mut heard = client.line().await;
    while heard.trim_end() == "PING" {
        heard = client.line().await;
    }
    assert_eq!(heard.trim_end(), line);
    client.expect(body).await;
}

/// Opens connections that say this and then neither read nor write.
async fn open(address: SocketAddr, say: impl Fn(usize) -> Vec<u8>) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for number in 0..OF_EACH_KIND {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // What is refused in the middle resets the connection.
        stream.write_all(&say(number)).await.ok();
        streams.push(stream);
    }
    streams
}

fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, most).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_client_goes_on_among_thousands_of_hostile_ones() {
    raise_descriptor_limit();
    let server = Server::start().await;
    let mut good = GoodPair::new(&server).await;
    good.round_trip().await;

    let silent = open(server.clients, |_| Vec::new()).await;
    good.round_trip().await;
    let half_lines = open(server.clients, |_| b"CONNECT {\"verbo".to_vec()).await;
    good.round_trip().await;
    // A payload that was announced and never comes.
    let half_messages = open(server.clients, |_| b"PUB good.ask 1000000\r\nhalf".to_vec()).await;
    good.round_trip().await;
    let endless_lines = open(server.clients, |_| vec![b'x'; 64 * 1024]).await;
    good.round_trip().await;
    let floods = open(server.clients, |number| {
        let subscribe = |at| format!("SUB flood.*.{number}.{at}.> {at}\r\n");
        (0..FLOOD_SUBSCRIPTIONS)
            .map(subscribe)
            .collect::<String>()
            .into_bytes()
    })
    .await;
    good.round_trip().await;
    // Readers of everything, who do not read.
    let deaf = open(server.clients, |_| b"SUB > 1\r\n".to_vec()).await;
    let floods_and_good = OF_EACH_KIND * FLOOD_SUBSCRIPTIONS + 2;
    eventually("all subscriptions", || {
        server.hub.totals().subscriptions == floods_and_good + OF_EACH_KIND
    })
    .await;
    for _ in 0..10 {
        good.round_trip().await;
    }
    // Endless lines are cut off, the others are only patient.
    eventually("the end of endless lines", || {
        server.hub.totals().connections == 5 * OF_EACH_KIND + 2
    })
    .await;
    let of_lines = |closed: &hub::ConnectionSnapshot| {
        let reason = closed.reason.map(|reason| reason.name());
        matches!(
            reason,
            Some("Maximum Control Line Exceeded" | "Parse Error" | "Client Closed")
        )
    };
    let closed = server.hub.closed_connections();
    assert!(closed.len() == OF_EACH_KIND && closed.iter().all(of_lines));

    drop((
        silent,
        half_lines,
        half_messages,
        endless_lines,
        floods,
        deaf,
    ));
    eventually("the good ones alone", || {
        server.hub.totals().connections == 2
    })
    .await;
    assert_eq!(server.hub.totals().subscriptions, 2);
    assert_eq!(server.hub.totals().panics, 0);
    good.round_trip().await;
}
