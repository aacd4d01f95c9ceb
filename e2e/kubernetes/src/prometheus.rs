//! A Prometheus of this machine that scrapes brokers and operator.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::objects::{SOON, wait};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// What is scraped how often. Debian's Prometheus cannot ask the API server for pods, so they are
/// listed.
fn config(targets: &[Target]) -> Value {
    let targets: Vec<_> = targets
        .iter()
        .map(|target| json!({"targets": [target.address], "labels": target.labels}))
        .collect();
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["alerts.yaml"],
        "scrape_configs": [{"job_name": "weir", "static_configs": targets}],
    })
}

/// A page that is scraped.
pub struct Target {
    address: String,
    labels: BTreeMap<&'static str, String>,
}

impl Target {
    /// The port of that name of a pod, with the labels that the chart's monitors give it; `None`
    /// while the pod has no address.
    pub fn new(pod: &Pod, port: &str) -> Option<Target> {
        let address = pod.status.as_ref()?.pod_ip.as_ref()?;
        let containers = pod.spec.as_ref()?.containers.iter();
        let ports = containers.flat_map(|container| container.ports.iter().flatten());
        let port = ports
            .filter(|found| found.name.as_deref() == Some(port))
            .map(|found| found.container_port)
            .next()?;
        let mut labels = BTreeMap::from([
            ("namespace", pod.metadata.namespace.clone()?),
            ("pod", pod.metadata.name.clone()?),
        ]);
        let cluster = pod.metadata.labels.as_ref()?.get("weir.dev/cluster");
        labels.extend(cluster.map(|cluster| ("cluster", cluster.clone())));
        Some(Target {
            address: format!("{address}:{port}"),
            labels,
        })
    }
}

/// A running Prometheus; it ends with this value.
pub struct Prometheus {
    address: String,
    _process: Child,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one with these rules.
    pub async fn start(rules: &str, targets: &[Target]) -> anyhow::Result<Prometheus> {
        let folder = tempfile::tempdir()?;
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("prometheus.yaml"), config(targets).to_string())?;
        std::fs::write(file("alerts.yaml"), rules)?;
        let address = format!("127.0.0.1:{}", e2e::free_port());
        let log = std::fs::File::create(file("log"))?;
        let process = Command::new("prometheus")
            .arg(argument("--config.file=", &file("prometheus.yaml")))
            .arg(argument("--storage.tsdb.path=", &file("data")))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("prometheus")?;
        let prometheus = Prometheus {
            address,
            _process: process,
            _folder: folder,
        };
        wait(SOON, "Prometheus is ready", async || {
            prometheus.query("1").await
        })
        .await;
        Ok(prometheus)
    }

    /// The samples of an instant query.
    pub async fn query(&self, expression: &str) -> anyhow::Result<Vec<Value>> {
        let body = tokio::time::timeout(ANSWER, self.post("/api/v1/query", expression)).await??;
        let answer: Value = serde_json::from_str(&body).context(body)?;
        let samples = answer["data"]["result"].as_array();
        Ok(samples.context(answer.to_string())?.clone())
    }

    /// Waits until an alert fires; its labels.
    pub async fn fires(&self, alert: &str, deadline: Duration) -> Value {
        let expression = format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}");
        wait(deadline, &format!("alert {alert} fires"), async || {
            let firing = self.query(&expression).await?;
            let first = firing.into_iter().next().context("it does not")?;
            Ok(first["metric"].clone())
        })
        .await
    }

    /// Waits until an alert fires no longer.
    pub async fn rests(&self, alert: &str, deadline: Duration) {
        let expression = format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}");
        wait(deadline, &format!("alert {alert} ends"), async || {
            let firing = self.query(&expression).await?;
            ensure!(firing.is_empty(), "{firing:?}");
            Ok(())
        })
        .await;
    }

    async fn post(&self, path: &str, expression: &str) -> anyhow::Result<String> {
        let body = format!("query={}", encoded(expression));
        let request = format!(
            "POST {path} HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        Ok(body.to_owned())
    }
}

fn argument(name: &str, path: &Path) -> String {
    format!("{name}{}", path.display())
}

/// A value of a form: everything but letters and digits by its number.
fn encoded(text: &str) -> String {
    let bytes = text.bytes();
    bytes
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}
