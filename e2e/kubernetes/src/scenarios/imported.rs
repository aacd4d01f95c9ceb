//! An account keeps the key that it had elsewhere.

use anyhow::ensure;
use serde_json::Value;

use super::Outcome;
use crate::lab::{Lab, NAMESPACE};
use crate::objects::{ACCOUNT, SOON, USER, condition_of};
use crate::programs::kubectl;
use crate::world::World;

pub async fn key(world: &mut World) -> anyhow::Result<Outcome> {
    let lab = Lab::new(world).await?;
    let (accounts, users) = (lab.objects(ACCOUNT), lab.objects(USER));
    let manifest = world.path("e2e/kubernetes/manifests/imported.yaml");
    kubectl(&["apply", "-f", &manifest]).await?;
    let misses = |account: &Value| {
        let found = condition_of(account, "Ready")?;
        ensure!(found["reason"] == "KeyMissing", "{found}");
        Ok(found["message"].as_str().unwrap_or_default().to_owned())
    };
    let advice = accounts.wait(SOON, "moved", "misses its key", misses).await;
    let key = nkeys::KeyPair::new_account();
    let seed = format!("--from-literal=seed={}", key.seed()?);
    kubectl(&[
        "create", "secret", "generic", "given", "-n", NAMESPACE, &seed,
    ])
    .await?;
    accounts.ready(SOON, "moved").await;
    let account = accounts.get("moved").await?;
    ensure!(
        account["status"]["publicKey"] == key.public_key(),
        "{} is not {}",
        account["status"],
        key.public_key()
    );
    users.ready(SOON, "mover").await;
    lab.connect_as("mover").await.flush().await?;
    users.delete("mover").await?;
    users.gone("mover").await;
    accounts.delete("moved").await?;
    accounts.gone("moved").await;
    // What was given is not the operator's to delete.
    kubectl(&["delete", "secret", "given", "-n", NAMESPACE]).await?;
    Ok(Outcome::Passed(format!(
        "an account whose key is not there says: {advice}; with the Secret it has that key, and a user connects"
    )))
}
