//! A Prometheus of this machine that finds brokers and operator as the chart's monitors do.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::objects::{SOON, wait};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// What is scraped, and where its labels come from, as in the chart's PodMonitor and ServiceMonitor.
const CONFIG: &str = "
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [alerts.yaml]
scrape_configs:
  - job_name: weir
    kubernetes_sd_configs: [{role: pod, kubeconfig_file: KUBECONFIG}]
    relabel_configs:
      - {source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name], regex: weir, action: keep}
      - {source_labels: [__meta_kubernetes_pod_container_port_name], regex: monitor|metrics, action: keep}
      - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
      - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
      - {source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_component], target_label: component}
      - {source_labels: [__meta_kubernetes_pod_label_weir_dev_cluster], target_label: cluster}
";

/// A running Prometheus; it ends with this value.
pub struct Prometheus {
    address: String,
    _process: Child,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one with these rules.
    pub async fn start(rules: &str) -> anyhow::Result<Prometheus> {
        let kubeconfig = std::env::var("KUBECONFIG").context("KUBECONFIG is not set")?;
        let folder = tempfile::tempdir()?;
        let file = |name: &str| folder.path().join(name);
        std::fs::write(
            file("prometheus.yaml"),
            CONFIG.replace("KUBECONFIG", &kubeconfig),
        )?;
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
