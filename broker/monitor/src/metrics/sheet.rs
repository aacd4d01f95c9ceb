//! The numbers of one scrape.

use std::collections::BTreeMap;

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::definitions::Definition;

/// Collects samples by metric.
#[derive(Default)]
pub(super) struct Sheet(BTreeMap<&'static str, MetricFamily>);

impl Sheet {
    /// Adds one sample. `values` belong to the definition's labels, in their order.
    pub fn put(&mut self, definition: &'static Definition, values: &[&str], value: f64) {
        let mut sample = sample(definition, values);
        match definition.kind {
            MetricType::COUNTER => {
                let mut counter = Counter::default();
                counter.set_value(value);
                sample.set_counter(counter);
            }
            _ => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                sample.set_gauge(gauge);
            }
        }
        self.add(definition, sample);
    }

    pub fn count(&mut self, definition: &'static Definition, values: &[&str], value: u64) {
        self.put(definition, values, value as f64);
    }

    /// Adds a histogram: cumulative counts by upper bound, then how many values and their sum.
    pub fn put_histogram(
        &mut self,
        definition: &'static Definition,
        buckets: &[(f64, u64)],
        (count, sum): (u64, f64),
    ) {
        let mut histogram = Histogram::default();
        let buckets = buckets.iter().map(|(upper_bound, cumulative)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*upper_bound);
            bucket.set_cumulative_count(*cumulative);
            bucket
        });
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(count);
        histogram.set_sample_sum(sum);
        let mut sample = sample(definition, &[]);
        sample.set_histogram(histogram);
        self.add(definition, sample);
    }

    fn add(&mut self, definition: &'static Definition, sample: Metric) {
        let family = self.0.entry(definition.name).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(definition.name.to_owned());
            family.set_help(definition.help.to_owned());
            family.set_field_type(definition.kind);
            family
        });
        family.mut_metric().push(sample);
    }

    pub fn families(self) -> Vec<MetricFamily> {
        self.0.into_values().collect()
    }
}

fn sample(definition: &Definition, values: &[&str]) -> Metric {
    let labels = definition.labels.iter().zip(values).map(|(name, value)| {
        let mut label = LabelPair::default();
        label.set_name((*name).to_owned());
        label.set_value((*value).to_owned());
        label
    });
    Metric::from_label(labels.collect())
}
