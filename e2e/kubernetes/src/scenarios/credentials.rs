//! Credentials that end are renewed before they do, and keys that sign them take turns.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::Outcome;
use crate::objects::{ACCOUNT, SOON, USER, wait};
use crate::programs::kubectl;
use crate::publishing;
use crate::world::{BROKERS, NAMESPACE, World};

const NAME: &str = "courier";
const ACCOUNT_NAME: &str = "depot";

/// What was issued first.
pub struct Issued {
    credentials: String,
    /// The public key that signed it.
    signing_key: String,
}

/// Begins early: what is issued first has to end before the outcome is known.
pub async fn issued(world: &mut World) -> anyhow::Result<Outcome> {
    let manifest = world.path("e2e/kubernetes/manifests/courier.yaml");
    kubectl(&["apply", "-f", &manifest]).await?;
    world.objects(ACCOUNT).ready(SOON, ACCOUNT_NAME).await;
    world.objects(USER).ready(SOON, NAME).await;
    let first = publishing::credentials(&world.client, NAMESPACE, NAME).await?;
    let signing_key = signing_key(&world.objects(ACCOUNT).get(ACCOUNT_NAME).await?)?;
    let end = expires(&world.objects(USER).get(NAME).await?)?;
    let later = wait(SOON, "the credentials are renewed", async || {
        let now = publishing::credentials(&world.client, NAMESPACE, NAME).await?;
        ensure!(now != first, "they are the first ones");
        Ok(now)
    });
    let later = later.await;
    let is_later = |user: &Value| {
        let found = expires(user)?;
        ensure!(found > end, "they end at {found}, the first ones at {end}");
        Ok(())
    };
    let users = world.objects(USER);
    users.wait(SOON, NAME, "tells their end", is_later).await;
    for (text, which) in [(&first, "first"), (&later, "renewed")] {
        let connected = connect(world, text).await;
        connected.with_context(|| format!("the {which} credentials are refused"))?;
    }
    world.remember_issued(Issued {
        credentials: first,
        signing_key,
    });
    Ok(Outcome::Passed(format!(
        "a Secret has new credentials before the first ones end at {end}; until then both are accepted"
    )))
}

pub async fn ended(world: &mut World) -> anyhow::Result<Outcome> {
    let Some(first) = world.take_issued() else {
        return Ok(Outcome::Skipped("none were issued".to_owned()));
    };
    wait(SOON, "the first credentials end", async || {
        let connected = connect(world, &first.credentials).await;
        ensure!(connected.is_err(), "they are accepted");
        Ok(())
    })
    .await;
    let accounts = world.objects(ACCOUNT);
    let what = "has another signing key";
    accounts
        .wait(SOON, ACCOUNT_NAME, what, |account| {
            let now = signing_key(account)?;
            ensure!(now != first.signing_key, "it is the first one");
            Ok(())
        })
        .await;
    let client = world.connect(NAME).await?;
    client.flush().await?;
    Ok(Outcome::Passed(
        "the first credentials are refused now, another key signs, and the credentials in the Secret are accepted".to_owned(),
    ))
}

async fn connect(world: &World, credentials: &str) -> anyhow::Result<()> {
    let address = publishing::address(&world.client, NAMESPACE, BROKERS).await?;
    let options = async_nats::ConnectOptions::with_credentials(credentials)?;
    let client = options.connect(format!("nats://{address}:4222")).await?;
    client.flush().await?;
    Ok(())
}

fn signing_key(account: &Value) -> anyhow::Result<String> {
    let key = account["status"]["signingKey"].as_str();
    Ok(key
        .with_context(|| account["status"].to_string())?
        .to_owned())
}

fn expires(user: &Value) -> anyhow::Result<String> {
    let end = user["status"]["expiresAt"].as_str();
    Ok(end.with_context(|| user["status"].to_string())?.to_owned())
}
