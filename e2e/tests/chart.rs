//! What the chart repeats from elsewhere in this repository is still true.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    let path = repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All words of a text that could be names of Weir's metrics.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("weir_"))
        .collect()
}

#[test]
fn alerts_and_dashboard_use_metrics_that_exist() {
    let brokers = text("broker/monitor/src/metrics/golden.txt");
    let operator = text("operator/controller/src/metrics.rs");
    let mut known = metrics_in(&brokers);
    known.extend(metrics_in(&operator));
    for file in ["alerts.yaml", "dashboard.json"] {
        let used = text(&format!("charts/weir/files/{file}"));
        let used = metrics_in(&used);
        assert!(used.len() > 5, "{file} uses only {used:?}");
        for metric in used {
            let counted = ["_bucket", "_sum", "_count"];
            let name = counted
                .iter()
                .find_map(|suffix| metric.strip_suffix(suffix))
                .unwrap_or(metric);
            assert!(
                known.contains(metric) || known.contains(name),
                "{file} uses {metric}, which neither brokers nor the operator have"
            );
        }
    }
}
