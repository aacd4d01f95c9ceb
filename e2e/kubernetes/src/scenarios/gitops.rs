//! What Argo CD and Flux are told.

use std::io::Write as _;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::Outcome;
use crate::objects::{ACCOUNT, CLUSTER, CONSUMER, KV_BUCKET, STREAM, USER};
use crate::programs::{kubectl, run};
use crate::world::{NAMESPACE, World};

const ARGO_CD: &str = "charts/weir/docs/argocd-cm.yaml";
const LUA: &str = "lua5.1";
const WAITED_FOR: [&str; 3] = ["Ready=True", "Reconciling=False", "Stalled=False"];

/// The health script of the chart's docs.
pub struct Health {
    script: String,
}

impl Health {
    pub fn of_chart(world: &World) -> anyhow::Result<Health> {
        let text = std::fs::read_to_string(world.path(ARGO_CD))?;
        let map: Value = serde_yaml::from_str(&text)?;
        let customizations = map["data"]["resource.customizations"].as_str();
        let customizations: Value = serde_yaml::from_str(customizations.context(ARGO_CD)?)?;
        let script = customizations["weir.dev/*"]["health.lua"].as_str();
        Ok(Health {
            script: script.context("no health script")?.to_owned(),
        })
    }

    /// What the script says of an object: status and message.
    pub async fn of(&self, object: &Value) -> anyhow::Result<String> {
        let mut file = tempfile::NamedTempFile::new()?;
        write!(
            file,
            "obj = {}\nlocal function health()\n{}\nend\nlocal said = health()\n\
             print(said.status .. \": \" .. (said.message or \"\"))\n",
            lua(object),
            self.script
        )?;
        run(LUA, &[&file.path().display().to_string()]).await
    }
}

/// The value as an expression of Lua.
fn lua(value: &Value) -> String {
    let list = |items: Vec<String>| format!("{{{}}}", items.join(", "));
    match value {
        Value::Null => "nil".to_owned(),
        Value::String(text) => lua_text(text),
        Value::Array(values) => list(values.iter().map(lua).collect()),
        Value::Object(fields) => {
            let fields = fields.iter();
            list(
                fields
                    .map(|(key, value)| format!("[{}] = {}", lua_text(key), lua(value)))
                    .collect(),
            )
        }
        other => other.to_string(),
    }
}

fn lua_text(text: &str) -> String {
    let bytes = text.bytes().map(|byte| format!("\\{byte:03}"));
    format!("\"{}\"", bytes.collect::<String>())
}

pub async fn conditions(world: &mut World) -> anyhow::Result<Outcome> {
    let health = Health::of_chart(world)?;
    let mut healthy = 0;
    for kind in [CLUSTER, ACCOUNT, USER, STREAM, CONSUMER, KV_BUCKET] {
        for condition in WAITED_FOR {
            let condition = format!("--for=condition={condition}");
            let all = ["--all", "-n", NAMESPACE, "--timeout=60s"];
            kubectl(&[&["wait", &condition, kind.plural], &all[..]].concat()).await?;
        }
        let objects = world.objects(kind);
        for name in objects.names().await? {
            let mut object = objects.get(&name).await?;
            let told = health.of(&object).await?;
            ensure!(
                told.starts_with("Healthy"),
                "{} {name}: {told}",
                kind.plural
            );
            // As long as the operator has not seen a change.
            let seen = object["metadata"]["generation"]
                .as_i64()
                .context("no generation")?;
            object["metadata"]["generation"] = Value::from(seen + 1);
            let told = health.of(&object).await?;
            ensure!(
                told.starts_with("Progressing"),
                "{} {name}: {told}",
                kind.plural
            );
            healthy += 1;
        }
    }
    Ok(Outcome::Passed(format!(
        "kubectl waits for {} of all, and the chart's script for Argo CD calls {healthy} of {healthy} Healthy, changed ones Progressing",
        WAITED_FOR.join(", ")
    )))
}
