//! Replicas move to other brokers while clients publish.

use async_nats::jetstream::{self, stream};
use e2e::{Cluster, Ledger, cluster_info, read_stream, until};
use serde_json::{Value, json};

/// Time between two messages of a load.
const PACE: std::time::Duration = std::time::Duration::from_millis(5);

fn config(name: &str, replicas: usize) -> stream::Config {
    stream::Config {
        name: name.into(),
        subjects: vec![name.to_lowercase()],
        num_replicas: replicas,
        ..Default::default()
    }
}

async fn create(context: &jetstream::Context, config: stream::Config) {
    until("stream is created", async || {
        context.create_stream(config.clone()).await
    })
    .await;
}

/// The names of the brokers that hold a stream, and whether a move is under way.
async fn holders(cluster: &Cluster, name: &str) -> Result<(Vec<String>, bool), String> {
    let client = cluster.client().await;
    let answer = client.request(format!("$JS.API.STREAM.INFO.{name}"), "".into());
    let answer = answer.await.map_err(|error| error.to_string())?;
    let info: Value = serde_json::from_slice(&answer.payload).map_err(|e| e.to_string())?;
    let info = &info["cluster"];
    let replicas = info["replicas"].as_array().cloned().unwrap_or_default();
    let mut names: Vec<String> = replicas
        .iter()
        .map(|peer| &peer["name"])
        .chain([&info["leader"]])
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    names.sort();
    Ok((names, info.get("desired").is_some()))
}

/// Waits until a stream is at rest on `count` brokers; returns their names.
async fn at_rest(cluster: &Cluster, name: &str, count: usize) -> Vec<String> {
    until("the stream is where it belongs", async || {
        match holders(cluster, name).await? {
            (names, false) if names.len() == count => Ok(names),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_gets_more_and_fewer_replicas_while_it_is_published_to() {
    let cluster = Cluster::start(3).await;
    let context = cluster.jetstream().await;
    create(&context, config("GROWS", 1)).await;
    let ledger = Ledger::default();
    let load = ledger.steady_load(context.clone(), "grows", PACE);
    ledger.grows(500).await;
    for replicas in [3, 1, 2] {
        ledger.longest_pause();
        until("stream is updated", async || {
            context.update_stream(config("GROWS", replicas)).await
        })
        .await;
        at_rest(&cluster, "GROWS", replicas).await;
        ledger.grows(200).await;
        eprintln!(
            "{replicas} replicas: longest pause {:?}",
            ledger.longest_pause()
        );
    }
    load.end().await;
    ledger.check(&read_stream(&context, "GROWS").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_leaves_an_evacuated_broker() {
    let mut cluster = Cluster::start(4).await;
    let context = cluster.jetstream().await;
    create(&context, config("MOVES", 3)).await;
    create(&context, config("ALONE", 1)).await;
    let ledger = Ledger::default();
    ledger.publish_all(&context, "moves", 300).await;
    let number = cluster.settled(&context, "MOVES").await;
    let leaver = format!("n{number}");
    let asked = (number + 1) % 4;
    let load = ledger.steady_load(context.clone(), "moves", PACE);
    ledger.grows(100).await;

    ledger.longest_pause();
    let evacuate = async |peer: &str, cancel: bool| {
        let body = match cancel {
            true => json!({"peer": peer, "cancel": true}),
            false => json!({"peer": peer}),
        };
        let subject = "$JS.API.SERVER.EVACUATE";
        cluster.system_request(asked, subject, body).await
    };
    evacuate(&leaver, false)
        .await
        .expect("the others have room");
    let empty = [
        ("evacuating", json!(true)),
        ("replicas", json!(0)),
        ("leaders", json!(0)),
        ("safe", json!(true)),
    ];
    cluster.says(asked, &leaver, &empty).await;
    let names = at_rest(&cluster, "MOVES", 3).await;
    assert!(!names.contains(&leaver), "{leaver} still holds: {names:?}");
    ledger.grows(100).await;
    eprintln!("evacuation: longest pause {:?}", ledger.longest_pause());

    // Three brokers are left for streams of three replicas: none of them can be emptied.
    let next = format!("n{asked}");
    let refused = evacuate(&next, false).await.expect_err("there is no room");
    assert!(
        refused.contains("10005") && refused.contains("MOVES"),
        "{refused}"
    );
    create(&context, config("LATER", 3)).await;
    let names = at_rest(&cluster, "LATER", 3).await;
    assert!(
        !names.contains(&leaver),
        "{leaver} got a new stream: {names:?}"
    );

    evacuate(&leaver, true).await.expect("it can be taken back");
    cluster
        .says(asked, &leaver, &[("evacuating", json!(false))])
        .await;
    evacuate(&leaver, false).await.expect("and asked for again");
    cluster
        .says(asked, &leaver, &[("evacuating", json!(true))])
        .await;
    // The operator takes it away for good.
    cluster.stop(number).await;
    let removed = cluster
        .system_request(asked, "$JS.API.SERVER.REMOVE", json!({"peer": leaver}))
        .await;
    removed.expect("it is gone");
    until("it is no member any more", async || {
        match cluster.safez(asked, &leaver).await {
            Err(_) => Ok(()),
            Ok(page) => Err(page.to_string()),
        }
    })
    .await;
    ledger.grows(100).await;
    load.end().await;
    ledger.check(&read_stream(&context, "MOVES").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replicas_of_a_lost_broker_are_rebuilt_elsewhere() {
    let mut cluster = Cluster::start(4).await;
    let context = cluster.jetstream().await;
    create(&context, config("REBUILT", 3)).await;
    let ledger = Ledger::default();
    ledger.publish_all(&context, "rebuilt", 300).await;
    let victim = cluster.settled(&context, "REBUILT").await;
    ledger.longest_pause();
    let load = ledger.steady_load(context.clone(), "rebuilt", PACE);
    cluster.kill(victim).await;
    ledger.grows(100).await;
    eprintln!("leader killed: longest pause {:?}", ledger.longest_pause());

    let asked = (victim + 1) % 4;
    let lost = format!("n{victim}");
    until("the lost broker is removed", async || {
        let request = json!({"peer": lost});
        cluster
            .system_request(asked, "$JS.API.SERVER.REMOVE", request)
            .await
    })
    .await;
    let names = at_rest(&cluster, "REBUILT", 3).await;
    assert!(!names.contains(&lost), "{lost} is said to hold: {names:?}");
    cluster.settled(&context, "REBUILT").await;
    ledger.grows(100).await;
    load.end().await;
    // What was rebuilt must be worth something.
    let info = cluster_info(&context, "REBUILT")
        .await
        .expect("it is served");
    let leader = cluster.number(&info.leader.expect("it has a leader"));
    cluster.kill(leader).await;
    ledger.publish_all(&context, "rebuilt", 50).await;
    ledger.check(&read_stream(&context, "REBUILT").await);
}

/// Has a running broker carry other tags.
fn retag(cluster: &mut Cluster, number: usize, tags: &str) {
    let broker = cluster.brokers[number].as_mut().expect("the broker runs");
    broker.reconfigure(&format!("server_tags: [{tags}]\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_where_the_tags_are_that_it_asks_for() {
    let mut cluster = Cluster::start(3).await;
    let context = cluster.jetstream().await;
    retag(&mut cluster, 0, "\"disk:fast\"");
    let mut tagged = config("TAGGED", 1);
    tagged.placement = Some(stream::Placement {
        cluster: None,
        tags: vec!["disk:fast".into()],
    });
    create(&context, tagged).await;
    assert_eq!(at_rest(&cluster, "TAGGED", 1).await, ["n0"]);
    let ledger = Ledger::default();
    ledger.publish_all(&context, "tagged", 300).await;

    retag(&mut cluster, 0, "");
    until("the stream says what it waits for", async || {
        let client = cluster.client().await;
        let answer = client
            .request("$JS.API.STREAM.INFO.TAGGED", "".into())
            .await;
        let answer = answer.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&answer.payload).into_owned();
        match text.contains("tags not matched ['disk:fast']") {
            true => Ok(()),
            false => Err(text),
        }
    })
    .await;
    retag(&mut cluster, 1, "\"disk:fast\"");
    until("the stream moves", async || {
        match holders(&cluster, "TAGGED").await? {
            (names, false) if names == ["n1"] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    ledger.publish_all(&context, "tagged", 100).await;
    ledger.check(&read_stream(&context, "TAGGED").await);
}
