//! Samples of one figure over several runs, and how they are printed: median and spread.

use std::fmt;

/// The values of one figure.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    pub(crate) fn median(&self) -> f64 {
        match self.0.as_slice() {
            [] => f64::NAN,
            values if values.len() % 2 == 1 => values[values.len() / 2],
            values => f64::midpoint(values[values.len() / 2 - 1], values[values.len() / 2]),
        }
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.median() < 100.0);
        match (self.0.first(), self.0.last()) {
            (Some(least), Some(most)) => {
                write!(f, "{:.digits$} ({least:.digits$}–{most:.digits$})", self.median())
            }
            _ => f.write_str("–"),
        }
    }
}
