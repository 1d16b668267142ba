//! The `starling_*` metrics of admin ports: all labels and all nodes added up.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;

/// A node that does not answer by then is passed over: it may be one that was just killed.
const PATIENCE: Duration = Duration::from_millis(800);

/// Asks for them.
pub(super) struct Metrics {
    http: Option<reqwest::Client>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        Self { http: reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().ok() }
    }

    /// Of all these.
    pub(super) async fn all(&self, urls: &[String]) -> BTreeMap<String, f64> {
        let Some(http) = &self.http else { return BTreeMap::new() };
        let asked = urls.iter().map(|url| async move {
            let answer = http.get(format!("{url}/metrics")).send().await.ok()?;
            answer.text().await.ok()
        });
        let mut sums = BTreeMap::new();
        for text in join_all(asked).await.into_iter().flatten() {
            add(&text, &mut sums);
        }
        sums
    }
}

/// Adds the values of a page of metrics. Buckets of histograms are left out: their sum and count say enough.
fn add(text: &str, sums: &mut BTreeMap<String, f64>) {
    for line in text.lines().filter(|line| line.starts_with("starling_")) {
        let end = line.find(['{', ' ']).unwrap_or(line.len());
        let name = &line[..end];
        let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        if let Some(value) = value.filter(|_| !name.ends_with("_bucket") && name != "starling_build_info") {
            *sums.entry(name.to_owned()).or_default() += value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_added_up_and_buckets_left_out() {
        let mut sums = BTreeMap::new();
        add(
            "# HELP starling_a b c\nstarling_a{x=\"1 2\"} 2\nstarling_a{x=\"3\"} 3\nstarling_b 0.5\n\
             starling_c_bucket{le=\"1\"} 9\nstarling_build_info{v=\"1\"} 1\nprocess_x 4\n",
            &mut sums,
        );
        assert_eq!(sums, BTreeMap::from([("starling_a".into(), 5.0), ("starling_b".into(), 0.5)]));
    }
}
