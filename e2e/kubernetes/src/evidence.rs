//! What explains a failure: all of it in files, and the part that mostly does in the output, for who
//! sees nothing else.

use std::path::Path;

use crate::programs::kubectl;
use crate::world::{BROKERS, NAMESPACE, OPERATOR_PODS, SYSTEM};

/// Lines of the output for each thing that is shown there.
const SHOWN_LINES: usize = 25;
/// Of a line that is shown.
const SHOWN_CHARACTERS: usize = 400;

/// Something that kubectl tells.
struct Evidence {
    file: &'static str,
    arguments: Vec<String>,
    /// Whether a line is shown in the output, too; the last ones are.
    is_shown: fn(&str) -> bool,
}

/// Leaves it in `folder`. Nothing here may hide the failure.
pub async fn leave(folder: &Path) {
    for evidence in all() {
        let arguments: Vec<_> = evidence.arguments.iter().map(String::as_str).collect();
        let text = match kubectl(&arguments).await {
            Ok(text) => text,
            Err(error) => format!("{error:#}"),
        };
        show(&evidence, &text);
        let written = std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(folder.join(evidence.file), text));
        if let Err(error) = written {
            println!("      {}: {error}", folder.display());
        }
    }
    println!("      see {}", folder.display());
}

fn show(evidence: &Evidence, text: &str) {
    let lines: Vec<_> = text
        .lines()
        .filter(|line| (evidence.is_shown)(line))
        .collect();
    if lines.is_empty() {
        return;
    }
    println!("      --- {}", evidence.file);
    for line in lines.iter().skip(lines.len().saturating_sub(SHOWN_LINES)) {
        let line: String = line.chars().take(SHOWN_CHARACTERS).collect();
        println!("      {line}");
    }
}

fn all() -> Vec<Evidence> {
    let brokers = format!("weir.dev/cluster={BROKERS}");
    let evidence = |file, arguments: &str, is_shown| Evidence {
        file,
        arguments: arguments.split(' ').map(str::to_owned).collect(),
        is_shown,
    };
    vec![
        evidence("ready.txt", "get weir -A -o wide", everything),
        evidence("resources.yaml", "get weir -A -o yaml", nothing),
        evidence("pods.txt", "get pods -A -o wide", everything),
        evidence("nodes.txt", "get nodes -o wide", everything),
        evidence(
            "events.txt",
            "get events -A --sort-by=.lastTimestamp",
            everything,
        ),
        evidence(
            "workloads.yaml",
            &format!("get statefulsets,pvc,pv,services -n {NAMESPACE} -o yaml"),
            nothing,
        ),
        evidence(
            "operator.log",
            &format!("logs -n {SYSTEM} -l {OPERATOR_PODS} --tail=-1 --prefix"),
            is_complaint,
        ),
        evidence(
            "brokers.log",
            &format!("logs -n {NAMESPACE} -l {brokers} --tail=2000 --prefix --max-log-requests 16"),
            is_complaint,
        ),
    ]
}

fn everything(_: &str) -> bool {
    true
}

fn nothing(_: &str) -> bool {
    false
}

fn is_complaint(line: &str) -> bool {
    ["WARN", "ERROR", "WRN", "ERR", "FTL", "panicked"]
        .iter()
        .any(|word| line.contains(word))
}
