//! What the operator tells Prometheus about itself.

use std::time::Duration;

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

/// Seconds. A reconciliation asks brokers and the API server a few things.
const DURATIONS: &[f64] = &[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// All metrics. Labels are kinds and results only, so their number is fixed.
pub struct Metrics {
    registry: Registry,
    leader: IntGauge,
    reconciliations: IntCounterVec,
    durations: HistogramVec,
    watch_errors: IntCounterVec,
}

impl Metrics {
    /// # Errors
    /// If two metrics have one name, which a test rules out.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let leader = IntGauge::new(
            "weir_operator_leader",
            "1 if this replica is the one that works",
        )?;
        let reconciliations = IntCounterVec::new(
            Opts::new(
                "weir_operator_reconciliations_total",
                "Reconciliations that ended, by kind and result",
            ),
            &["kind", "result"],
        )?;
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "weir_operator_reconciliation_duration_seconds",
                "How long reconciliations took",
            )
            .buckets(DURATIONS.to_vec()),
            &["kind"],
        )?;
        let watch_errors = IntCounterVec::new(
            Opts::new(
                "weir_operator_watch_errors_total",
                "Watches of the Kubernetes API that broke and were tried again",
            ),
            &["kind"],
        )?;
        registry.register(Box::new(leader.clone()))?;
        registry.register(Box::new(reconciliations.clone()))?;
        registry.register(Box::new(durations.clone()))?;
        registry.register(Box::new(watch_errors.clone()))?;
        Ok(Metrics {
            registry,
            leader,
            reconciliations,
            durations,
            watch_errors,
        })
    }

    pub fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// A reconciliation ended.
    pub fn reconciled(&self, kind: &str, result: &str, took: Duration) {
        self.reconciliations
            .with_label_values(&[kind, result])
            .inc();
        self.durations
            .with_label_values(&[kind])
            .observe(took.as_secs_f64());
    }

    pub fn watch_failed(&self, kind: &str) {
        self.watch_errors.with_label_values(&[kind]).inc();
    }

    /// In Prometheus' text format.
    ///
    /// # Errors
    /// Those of the encoder.
    pub fn render(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_rendered() {
        let metrics = Metrics::new().expect("names differ");
        metrics.set_leader(true);
        metrics.reconciled("Cluster", "ok", Duration::from_millis(20));
        metrics.watch_failed("Cluster");
        let text = String::from_utf8(metrics.render().expect("it encodes")).expect("it is text");
        for line in [
            "weir_operator_leader 1",
            "weir_operator_reconciliations_total{kind=\"Cluster\",result=\"ok\"} 1",
            "weir_operator_reconciliation_duration_seconds_bucket{kind=\"Cluster\",le=\"0.025\"} 1",
            "weir_operator_watch_errors_total{kind=\"Cluster\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
