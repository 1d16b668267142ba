//! `micro count`: how many instructions each part of [`bench::micro`] takes, counted by valgrind (callgrind), which
//! does not care how busy a machine is. Beside what is noted in `instructions.toml`; a part that takes a tenth more
//! than that ends it with code 1.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail, ensure};
use bench::micro::{CASES, Case};
use clap::Parser;

/// Counts the instructions of single parts.
#[derive(Parser)]
enum Wanted {
    /// Does one part so often (what is counted runs this)
    Run { case: String, times: u64 },
    /// Counts all parts, beside what was noted
    Count {
        /// Note what is counted
        #[arg(long)]
        note: bool,
    },
}

/// More than this is told as a regression. Other compilers, C libraries and processors may differ by more: note first,
/// on the same machine.
const TOLERANCE: f64 = 1.1;

fn main() -> Result<ExitCode> {
    match Wanted::parse() {
        Wanted::Run { case, times } => {
            let known = CASES.iter().map(|case| case.name).collect::<Vec<_>>().join(", ");
            let case = CASES.iter().find(|known| known.name == case);
            let mut once = (case.with_context(|| format!("there is no such part: {known}"))?.make)();
            (0..times).for_each(|_| once());
            Ok(ExitCode::SUCCESS)
        }
        Wanted::Count { note } => count(note),
    }
}

fn count(note: bool) -> Result<ExitCode> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("instructions.toml");
    let noted = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let noted: BTreeMap<String, u64> = toml::from_str(&noted).with_context(|| format!("in {}", path.display()))?;
    let mut found = BTreeMap::new();
    let mut worse = Vec::new();
    println!("| part | instructions | noted | ÷ |\n|---|---|---|---|");
    for case in CASES {
        // What preparing it takes is in both.
        let (once, twice) = (instructions(case, case.times)?, instructions(case, 2 * case.times)?);
        let each = twice.checked_sub(once).context("twice as often took less")? / case.times;
        let before = noted.get(case.name).copied();
        let ratio = before.map(|before| each as f64 / before as f64);
        let [before, shown] = [before.map(|before| before.to_string()), ratio.map(|ratio| format!("{ratio:.2}"))]
            .map(|cell| cell.unwrap_or_else(|| "–".into()));
        println!("| {}: {} | {each} | {before} | {shown} |", case.name, case.about);
        // What was never noted cannot be told to be as before.
        if ratio.is_none_or(|ratio| ratio > TOLERANCE) {
            worse.push(case.name);
        }
        found.insert(case.name, each);
    }
    if note {
        let about = "# Instructions of the parts of `make bench-micro`, written by `make bench-micro ARGS=--note`.\n";
        std::fs::write(&path, about.to_owned() + &toml::to_string(&found)?)?;
    } else if !worse.is_empty() {
        println!("\nmore than before, or never noted: {}", worse.join(", "));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Of a process that does this part so often.
fn instructions(case: &Case, times: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["run", case.name, &times.to_string()])
        .output()
        .context("valgrind does not start; `scripts/install-deps micro` installs it")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{case}` failed under valgrind: {said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected :").map(|(_, count)| count.trim()));
    match collected.and_then(|count| count.parse().ok()) {
        Some(count) => Ok(count),
        None => bail!("valgrind tells no count: {said}"),
    }
}
