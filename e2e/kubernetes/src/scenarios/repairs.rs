//! What people break heals, and nothing is lost.

use anyhow::ensure;

use super::Outcome;
use crate::lab::{CLUSTER_NAME, Lab, NAMESPACE};
use crate::objects::{SOON, wait};
use crate::programs::kubectl;
use crate::world::World;

const MESSAGES: usize = 20;

pub async fn broken_by_hand(world: &mut World) -> anyhow::Result<Outcome> {
    let lab = Lab::new(world).await?;
    let messages = lab.publish(MESSAGES).await?;
    let in_lab = |arguments: &[&'static str]| [arguments, &["-n", NAMESPACE]].concat();

    let before = lab.brokers().await?;
    kubectl(&in_lab(&["delete", "statefulset", CLUSTER_NAME])).await?;
    lab.replaced(&before).await;
    lab.ready().await;

    let elsewhere = r#"{"spec": {"selector": {"weir.dev/cluster": "nobody"}}}"#;
    kubectl(&in_lab(&[
        "patch",
        "service",
        CLUSTER_NAME,
        "-p",
        elsewhere,
    ]))
    .await?;
    let selector = "jsonpath={.spec.selector.weir\\.dev/cluster}";
    wait(SOON, "the Service leads to the servers again", async || {
        let found = kubectl(&in_lab(&["get", "service", CLUSTER_NAME, "-o", selector])).await?;
        ensure!(found == CLUSTER_NAME, "it leads to {found}");
        Ok(())
    })
    .await;

    kubectl(&in_lab(&["delete", "secret", "tester"])).await?;
    let left = lab.messages().await?;
    ensure!(left == messages, "{left} of {messages} messages are left");
    Ok(Outcome::Passed(format!(
        "a deleted StatefulSet, a Service that led nowhere and a deleted credentials Secret are there again; all {left} messages are, too"
    )))
}
