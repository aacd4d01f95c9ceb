//! Subscriptions and publishers inside the process.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use hub::{Delivery, OriginKind, Publish};
use parking_lot::Mutex;

use crate::support::{Server, eventually};

#[tokio::test]
async fn a_handler_hears_clients_and_may_answer_at_once() {
    let server = Server::start().await;
    let (hub, seen) = (server.hub.clone(), Arc::new(Mutex::new(Vec::new())));
    let log = seen.clone();
    let handler = move |delivery: &Delivery<'_>| {
        let text = String::from_utf8_lossy(delivery.payload()).into_owned();
        log.lock()
            .push((delivery.origin.kind, text, delivery.headers().len()));
        let answer = Publish {
            subject: delivery.reply,
            headers: b"NATS/1.0\r\n\r\n",
            payload: b"yes",
            ..Publish::default()
        };
        assert!(hub.publish(delivery.account, &answer));
    };
    let id = server.hub.subscribe("$G", "svc.*", None, Arc::new(handler));
    let mut client = server.modern().await;
    client
        .send("SUB in 1\r\nHPUB svc.a in 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
        .await;
    client
        .expect("HMSG in 1 12 15\r\nNATS/1.0\r\n\r\nyes\r\n")
        .await;
    assert_eq!(*seen.lock(), [(OriginKind::Client, "hi".to_owned(), 12)]);
    assert!(server.hub.unsubscribe(id));
    assert!(!server.hub.unsubscribe(id));
    client.send("PUB svc.a in 0\r\n\r\n").await;
    client.expect("HMSG in 1 37 37\r\nNATS/1.0 503\r\n").await;
}

#[tokio::test]
async fn publishing_tells_whether_anybody_listens() {
    let server = Server::start().await;
    let account = server.hub.account("$G");
    let message = Publish {
        subject: b"news.today",
        payload: b"x",
        ..Publish::default()
    };
    assert!(!server.hub.publish(&account, &message));
    assert!(!server.hub.has_interest(&account, "news.today"));
    let mut client = server.modern().await;
    client.send("SUB news.> 1\r\n").await;
    client.sync().await;
    assert!(server.hub.has_interest(&account, "news.today"));
    let all = server
        .hub
        .batch(|| (0..3).all(|_| server.hub.publish(&account, &message)));
    assert!(all);
    client.expect("MSG news.today 1 1\r\nx\r\n".repeat(3)).await;
}

#[tokio::test]
async fn watchers_hear_of_interest_that_concerns_them() {
    let server = Server::start().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let watcher = Arc::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let id = server.hub.watch_interest("$G", "push.a", watcher);
    let mut client = server.modern().await;
    client
        .send("SUB push.b 1\r\nSUB push.a 2\r\nSUB push.* 3\r\nUNSUB 2\r\nUNSUB 1\r\n")
        .await;
    client.sync().await;
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    assert!(server.hub.unwatch_interest(id));
    client.send("UNSUB 3\r\n").await;
    client.sync().await;
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_panic_ends_one_connection_and_is_counted() {
    let server = Server::start().await;
    let handler = |delivery: &Delivery<'_>| assert!(delivery.payload() != b"boom", "as asked");
    server.hub.subscribe("$G", "svc", None, Arc::new(handler));
    let mut other = server.modern().await;
    other.send("SUB ev 1\r\n").await;
    other.sync().await;
    let mut victim = server.modern().await;
    let cid = server.hub.connections()[1].cid;
    // What was published before is delivered.
    victim
        .send("SUB x 1\r\nPUB ev 1\r\na\r\nPUB svc 4\r\nboom\r\nPUB ev 1\r\nb\r\n")
        .await;
    victim.expect_end().await;
    other.expect("MSG ev 1 1\r\na\r\n").await;
    eventually("the end", || server.hub.connections().len() == 1).await;
    assert_eq!(server.hub.totals().panics, 1);
    let closed = server.hub.closed_connections();
    assert_eq!(
        (closed[0].cid, closed[0].reason),
        (cid, Some(wire::CloseReason::InternalError))
    );
    // Everybody else goes on, also with that handler.
    other.send("PUB svc 4\r\ngood\r\nPUB ev 1\r\nc\r\n").await;
    other.expect("MSG ev 1 1\r\nc\r\n").await;
    assert_eq!(server.hub.totals().subscriptions, 2);
}
