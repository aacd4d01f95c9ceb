//! What `weir up` tells a person.

use api::{Kind, ResourceId};
use reconcile::{Directory, Entry, KeyStore, Outcome, Report, ResourceSet};

use crate::brokers::Layout;

/// Where to connect, with which credentials, and what to try.
pub fn welcome(layout: &Layout<'_>, keys: &Directory, set: &ResourceSet) -> String {
    let servers = layout.client_urls().join(",");
    let mut text = format!(
        "\nweir is up: {} broker{}\n  connect to   {servers}\n  monitoring   {}/metrics\n",
        layout.replicas,
        if layout.replicas == 1 { "" } else { "s" },
        layout.monitor_url(),
    );
    let users: Vec<(ResourceId, String)> = set
        .iter()
        .map(|resource| resource.id())
        .filter(|id| id.kind == Kind::User)
        .map(|id| {
            let entry = Entry::UserCreds {
                namespace: id.namespace.clone(),
                name: id.name.clone(),
            };
            let place = keys.place(&entry);
            (id, place)
        })
        .collect();
    if !users.is_empty() {
        text.push_str("  credentials\n");
    }
    for (id, place) in &users {
        text.push_str(&format!("    {:<12} {place}\n", id.name));
    }
    if let Some((_, creds)) = users.first() {
        text.push_str(&format!(
            "  try\n    nats --server {servers} --creds {creds} stream ls\n    \
             nats --server {servers} --creds {creds} account info\n"
        ));
    }
    text
}

/// What a pass changed, a line each.
pub fn changes(report: &Report) -> String {
    let lines = report.changed().map(|(id, action)| {
        let action = format!("{action:?}").to_lowercase();
        format!("  {action:<10} {id}\n")
    });
    lines.collect()
}

/// What is not as the files say, and why.
pub fn failures(report: &Report) -> String {
    let failed = report
        .outcomes
        .iter()
        .filter(|outcome| !outcome.is_synced());
    failed.map(failure).collect()
}

fn failure(outcome: &Outcome) -> String {
    let reason = outcome.error.as_deref().unwrap_or("not reconciled yet");
    let mut text = format!("  {}: {reason}\n", outcome.id);
    for difference in outcome.diff() {
        text.push_str(&format!("    {difference:?}\n"));
    }
    text
}
