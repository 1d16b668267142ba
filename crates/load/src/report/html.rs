//! The report as one HTML file: the data, a page and a plotting library in it; nothing is fetched from anywhere.

use anyhow::Result;

use super::model::Report;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// uPlot 1.6.32, MIT: see `vendor/README.md`.
const PLOT: &str = include_str!("vendor/uPlot.iife.min.js");
const PLOT_STYLE: &str = include_str!("vendor/uPlot.min.css");

/// The whole file.
pub(super) fn page(report: &Report) -> Result<String> {
    // In a script of its own: no text in it may end the element.
    let data = serde_json::to_string(report)?.replace("</", "<\\/");
    let summary = escape(&report.summary());
    // One pass over the page's own marks: what is put in is never looked at again.
    let mut out = String::with_capacity(data.len() + 80_000);
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, behind)) = after.split_once("}}") else { break };
        out.push_str(before);
        out.push_str(match name {
            "style" => STYLE,
            "plot_style" => PLOT_STYLE,
            "plot" => PLOT,
            "script" => SCRIPT,
            "data" => &data,
            "summary" => &summary,
            _ => "",
        });
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
