//! Samples of one figure over several rounds, and how they are printed: median and spread.

use std::fmt;

/// The values of one figure.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// One more.
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// The one in the middle; NaN when there is none.
    pub fn median(&self) -> f64 {
        match self.0.as_slice() {
            [] => f64::NAN,
            values if values.len() % 2 == 1 => values[values.len() / 2],
            values => f64::midpoint(values[values.len() / 2 - 1], values[values.len() / 2]),
        }
    }
}

impl Samples {
    /// The least of them; NaN when there is none.
    pub fn least(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    /// The greatest; NaN when there is none.
    pub fn most(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }
}

/// `MEDIAN (LEAST–MOST)`, with as many digits as tell something.
impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.median() {
            small if small < 10.0 => 2,
            middle if middle < 100.0 => 1,
            _ => 0,
        };
        match (self.0.first(), self.0.last()) {
            (Some(least), Some(most)) => write!(f, "{:.digits$} ({least:.digits$}–{most:.digits$})", self.median()),
            _ => f.write_str("–"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_printed_with_the_spread() {
        let mut samples = Samples::default();
        assert_eq!(samples.to_string(), "–");
        for value in [3.0, 1.0, 2.0, 4.0] {
            samples.add(value);
        }
        assert_eq!(samples.to_string(), "2.50 (1.00–4.00)");
        samples.add(400.0);
        samples.add(400.0);
        assert_eq!(samples.to_string(), "3.50 (1.00–400.00)");
    }
}
