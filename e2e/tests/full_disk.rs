//! A full disk: publishes are refused, nothing is lost, and all goes on when there is room.

use std::io::Write as _;
use std::path::Path;

use async_nats::jetstream::{self, Context, stream};
use e2e::{Broker, Ledger, Setup, read_stream, until};

/// Room for two segments of the log and some more.
const DISK_BYTES: u64 = 192 << 20;
const FILLER_BYTES: usize = 256 << 10;
/// Publishes that fill what the log reserved, at most.
const PUBLISHES_MAX: usize = 2_000;

/// Takes all the room that is left on the broker's disk.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).expect("files can be created");
    let chunk = vec![1; FILLER_BYTES];
    while file.write_all(&chunk).is_ok() {}
}

/// Publishes large messages until one is refused; returns the refusal.
async fn publish_until_refused(context: &Context) -> jetstream::context::PublishError {
    let large = bytes::Bytes::from(vec![b'x'; 512 << 10]);
    for _ in 0..PUBLISHES_MAX {
        let ack = context.publish("bulk", large.clone()).await;
        if let Err(error) = ack.expect("the connection is there").await {
            return error;
        }
    }
    panic!("the disk does not get full");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_publishes_until_there_is_room() {
    let files = tempfile::tempdir().expect("temporary directories can be made");
    let mut setup = Setup::alone("solo", files.path());
    setup.disk_bytes = Some(DISK_BYTES);
    let broker = Broker::start(setup).await;
    let context = jetstream::new(broker.client().await);
    for (name, subject) in [("KEPT", "kept"), ("BULK", "bulk")] {
        let config = stream::Config {
            name: name.into(),
            subjects: vec![subject.into()],
            ..Default::default()
        };
        context
            .create_stream(config)
            .await
            .expect("a stream can be created");
    }
    let ledger = Ledger::default();
    ledger.publish_all(&context, "kept", 100).await;

    let filler = broker.visible_store_dir().with_file_name("filler");
    fill(&filler);
    let refusal = publish_until_refused(&context).await.to_string();
    // 10047, as nats-server says it, or 10077 from the stream's store.
    assert!(
        refusal.contains("insufficient storage resources"),
        "{refusal}"
    );
    ledger.check(&read_stream(&context, "KEPT").await);

    std::fs::remove_file(&filler).expect("the filler can be removed");
    until("publishing goes on", async || {
        ledger.publish_once(&context, "kept").await
    })
    .await;
    ledger.publish_all(&context, "kept", 100).await;
    ledger.check(&read_stream(&context, "KEPT").await);
}
