//! What was measured, and how it is shown.

use std::fmt;

/// What one run measured, by the name of the figure.
pub type Figures = Vec<(&'static str, f64)>;

/// All runs of one scenario on up to two servers. Shown as medians and their ratio.
pub struct Row {
    name: &'static str,
    runs: [Vec<Figures>; 2],
}

impl Row {
    pub fn new(name: &'static str) -> Row {
        let runs = [Vec::new(), Vec::new()];
        Row { name, runs }
    }

    /// Adds what a run on server `at` (0 or 1) measured.
    pub fn add(&mut self, at: usize, figures: Figures) {
        self.runs[at].push(figures);
    }

    fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.runs[0]
            .first()
            .into_iter()
            .flatten()
            .map(|(key, _)| *key)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<24}", self.name)?;
        for (at, key) in self.keys().enumerate() {
            let [a, b] = &self.runs;
            match (median(a, at), median(b, at)) {
                (Some(a), Some(b)) => write!(f, "  {key} {a:.4} -> {b:.4} (x{:.2})", b / a)?,
                (Some(only), None) | (None, Some(only)) => write!(f, "  {key} {only:.4}")?,
                (None, None) => {}
            }
        }
        Ok(())
    }
}

/// The median of the figure at this place.
fn median(runs: &[Figures], at: usize) -> Option<f64> {
    let mut values: Vec<f64> = runs.iter().filter_map(|run| Some(run.get(at)?.1)).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
