//! `weir status`: clusters, servers, leaders, replicas, and why something is not ready.

use serde_json::Value;

use crate::kubernetes::{self, Found, KINDS, Where};
use crate::table::table;

pub async fn run(place: &Where) -> anyhow::Result<()> {
    print!("{}", status(&kubernetes::read(place).await?));
    Ok(())
}

fn status(all: &[Found]) -> String {
    if all.is_empty() {
        return "nothing of Weir is here; -n looks into another namespace, -A into all\n"
            .to_owned();
    }
    let mut text = String::new();
    for cluster in all.iter().filter(|found| found.kind == "Cluster") {
        text += &of_cluster(cluster);
    }
    text += &of_streams(all);
    text += &counts(all);
    let waiting = all.iter().filter(|found| !found.is_ready());
    let waiting: String = waiting
        .map(|found| format!("  {}\n", found.why()))
        .collect();
    if !waiting.is_empty() {
        text += &format!("not ready\n{waiting}");
    }
    text
}

fn of_cluster(cluster: &Found) -> String {
    let status = &cluster.status;
    let servers = word(&status["servers"]);
    let leader = word(&status["metaLeader"]);
    let mut text = format!(
        "{}: {servers} servers ready, meta leader {leader}\n",
        cluster.id()
    );
    for type_ in [
        "QuorumHealthy",
        "SafeToRestart",
        "Upgrading",
        "Resizing",
        "ConfigApplied",
        "Stalled",
    ] {
        let expected = if matches!(type_, "Upgrading" | "Resizing" | "Stalled") {
            "False"
        } else {
            "True"
        };
        if let Some((found, reason, message)) = cluster.condition(type_)
            && found != expected
        {
            text += &format!("  {type_} is {found}: {reason}: {message}\n");
        }
    }
    let members = status["members"].as_array().into_iter().flatten();
    let rows: Vec<[String; 6]> = members.map(member).collect();
    if !rows.is_empty() {
        let head = ["SERVER", "POOL", "NODE", "STATE", "STREAMS", "TAGS"];
        text += &table("  ", head, &rows);
    }
    text
}

fn member(member: &Value) -> [String; 6] {
    let mut states = vec![if member["healthy"] == true {
        "ready"
    } else {
        "not ready"
    }];
    if member["upToDate"] == false {
        states.push("to be restarted");
    }
    if member["evacuating"] == true {
        states.push("evacuating");
    }
    let tags = member["tags"].as_array().into_iter().flatten();
    let tags: Vec<&str> = tags.filter_map(Value::as_str).collect();
    [
        word(&member["name"]),
        word(&member["pool"]),
        word(&member["node"]),
        states.join(", "),
        word(&member["streams"]),
        tags.join(","),
    ]
}

fn of_streams(all: &[Found]) -> String {
    let streams = all.iter().filter(|found| found.kind == "Stream");
    let rows: Vec<[String; 5]> = streams
        .map(|stream| {
            let name = stream.spec["name"].as_str().unwrap_or(&stream.name);
            [
                stream.id(),
                name.to_owned(),
                word(&stream.status["leader"]),
                replicas(&stream.status["replicas"]),
                word(&stream.status["messages"]),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    table(
        "",
        ["RESOURCE", "STREAM", "LEADER", "OTHER REPLICAS", "MESSAGES"],
        &rows,
    )
}

fn replicas(replicas: &Value) -> String {
    let replicas = replicas.as_array().into_iter().flatten();
    let replicas = replicas.map(|replica| {
        let name = word(&replica["name"]);
        match (
            replica["current"] == true,
            replica["lag"].as_u64().unwrap_or_default(),
        ) {
            (true, _) => name,
            (false, 0) => format!("{name} (not current)"),
            (false, lag) => format!("{name} ({lag} behind)"),
        }
    });
    let replicas: Vec<String> = replicas.collect();
    if replicas.is_empty() {
        return "-".to_owned();
    }
    replicas.join(", ")
}

/// How many of each kind there are and are ready.
fn counts(all: &[Found]) -> String {
    let count = |kind: &str| {
        let of_kind = || all.iter().filter(move |found| found.kind == kind);
        let ready = of_kind().filter(|found| found.is_ready()).count();
        (of_kind().count(), ready)
    };
    let counts = KINDS.into_iter().filter_map(|kind| {
        let (all, ready) = count(kind);
        (all > 0).then(|| format!("{kind} {ready}/{all}"))
    });
    let counts: Vec<String> = counts.collect();
    format!("ready: {}\n", counts.join(", "))
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(kind: &'static str, spec: Value, status: Value) -> Found {
        Found {
            kind,
            namespace: "shop".to_owned(),
            name: "a".to_owned(),
            spec,
            status,
        }
    }

    #[test]
    fn servers_replicas_and_reasons_are_shown() {
        let ready = json!({"type": "Ready", "status": "True"});
        let cluster = found(
            "Cluster",
            json!({}),
            json!({
                "conditions": [
                    ready,
                    {"type": "SafeToRestart", "status": "False", "reason": "R", "message": "m"},
                ],
                "servers": "2/3", "metaLeader": "a-0",
                "members": [{"name": "a-0", "pool": "default", "healthy": true, "upToDate": false}],
            }),
        );
        let stream = found(
            "Stream",
            json!({"name": "ORDERS"}),
            json!({
                "conditions": [{"type": "Ready", "status": "False", "reason": "NoLeader", "message": "wait"}],
                "leader": "a-0", "messages": 5,
                "replicas": [{"name": "a-1", "current": true}, {"name": "a-2", "lag": 7}],
            }),
        );
        let text = status(&[cluster, stream]);
        for line in [
            "Cluster/shop/a: 2/3 servers ready, meta leader a-0",
            "  SafeToRestart is False: R: m",
            "  a-0     default  -     ready, to be restarted  -",
            "Stream/shop/a  ORDERS  a-0     a-1, a-2 (7 behind)  5",
            "ready: Cluster 1/1, Stream 0/1",
            "  Stream/shop/a: NoLeader: wait",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line:?} in\n{text}"
            );
        }
        assert!(status(&[]).contains("-A"));
    }
}
