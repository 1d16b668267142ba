//! What Postgres really did: every statement with its plan, read from the log of a server of the test's own
//! (`auto_explain`, which comes with Postgres).

use anyhow::{Context, Result};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::postgres::PrivatePostgres;

/// Settings of a server whose plans are to be read.
pub const SETTINGS: [&str; 6] = [
    "session_preload_libraries=auto_explain",
    "auto_explain.log_min_duration=0",
    "auto_explain.log_format=json",
    "auto_explain.log_analyze=on",
    "log_line_prefix=",
    "shared_buffers=256MB",
];

/// A statement that ran.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Its text.
    pub text: String,
    /// Its plan.
    pub plan: Value,
}

impl Statement {
    /// Every node of its plan.
    pub fn nodes(&self) -> Vec<&Value> {
        let mut nodes = vec![&self.plan];
        let mut next = 0;
        while let Some(node) = nodes.get(next).copied() {
            nodes.extend(node["Plans"].as_array().into_iter().flatten());
            next += 1;
        }
        nodes
    }

    /// Tables that it read from the first row to the last.
    pub fn scanned(&self) -> Vec<&str> {
        let scans = self.nodes().into_iter().filter(|node| node["Node Type"] == "Seq Scan");
        scans.filter_map(|node| node["Relation Name"].as_str()).collect()
    }

    /// Most rows that one step of it read by an index (or saw) only to leave them out.
    pub fn left_out(&self) -> u64 {
        let rows = |node: &Value| {
            let each = node["Rows Removed by Filter"].as_f64().unwrap_or(0.0);
            (each * node["Actual Loops"].as_f64().unwrap_or(1.0)) as u64
        };
        self.nodes().into_iter().map(rows).max().unwrap_or(0)
    }

    /// Indexes that it used.
    pub fn indexes(&self) -> Vec<&str> {
        self.nodes().into_iter().filter_map(|node| node["Index Name"].as_str()).collect()
    }
}

/// Everything that ran on the server while `work` did.
pub async fn statements<T>(
    server: &PrivatePostgres,
    marker: &mut PgConnection,
    work: impl Future<Output = Result<T>>,
) -> Result<(T, Vec<Statement>)> {
    let tag = uuid::Uuid::new_v4();
    let mark = |end: &str| sqlx::query(AssertSqlSafe(format!("SELECT '{tag} {end}'")));
    mark("begins").execute(&mut *marker).await?;
    let result = work.await?;
    mark("ends").execute(&mut *marker).await?;
    let log = server.log()?;
    let between = log.split(&format!("{tag} begins")).last().unwrap_or_default();
    let between = between.split(&format!("{tag} ends")).next().unwrap_or_default();
    let mut found = Vec::new();
    // A plan is one message: its first line says so, the others begin with a tab.
    let mut lines = between.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.trim_end().ends_with("plan:") {
            continue;
        }
        let mut json = String::new();
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            json.push_str(more);
        }
        let Ok(plan) = serde_json::from_str::<Value>(&json) else {
            // The end marker itself is cut in two.
            continue;
        };
        let text = plan["Query Text"].as_str().context("a plan without its statement")?.to_owned();
        found.push(Statement { text, plan: plan["Plan"].clone() });
    }
    Ok((result, found))
}
