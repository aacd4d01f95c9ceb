//! `weir diff`: where servers differ from what resources say.

use crate::kubernetes::{self, Found, Where};

pub async fn run(place: &Where) -> anyhow::Result<()> {
    print!("{}", diff(&kubernetes::read(place).await?));
    Ok(())
}

/// A paragraph for each resource that differs, with the reason why it does.
fn diff(all: &[Found]) -> String {
    let differ = all.iter().filter_map(|found| {
        let fields = found.status["diff"].as_array()?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let lines = fields.iter().map(|field| {
            let name = text(&field["field"]);
            let (observed, desired) = (text(&field["observed"]), text(&field["desired"]));
            format!("  {name}: the server has {observed}, the resource says {desired}\n")
        });
        let lines: String = lines.collect();
        (!lines.is_empty()).then(|| format!("{}\n{lines}", found.why()))
    });
    let differ: String = differ.collect();
    if differ.is_empty() {
        return "all servers hold what resources say\n".to_owned();
    }
    differ
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_field_is_named() {
        let stream = |diff| Found {
            kind: "Stream",
            namespace: "shop".to_owned(),
            name: "orders".to_owned(),
            spec: json!({}),
            status: json!({
                "conditions": [{"type": "Ready", "reason": "ApprovalNeeded", "message": "m"}],
                "diff": diff,
            }),
        };
        let field = json!([{"field": "limits.maxAge", "observed": "1d", "desired": "2d"}]);
        assert_eq!(
            diff(&[stream(field), stream(json!([]))]),
            "Stream/shop/orders: ApprovalNeeded: m\n  \
             limits.maxAge: the server has 1d, the resource says 2d\n"
        );
        assert!(diff(&[stream(json!([]))]).starts_with("all servers hold"));
    }
}
