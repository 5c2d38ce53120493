//! A plan as text for people: what, why, commands, layers, Dockerfile, warnings.

use std::fmt::Write as _;

use serde_json::Value;

use crate::model::command::Network;
use crate::model::failure::Warning;
use crate::model::plan::{LayerSource, Plan, PlannedStep};

/// The whole plan as text, without colour.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let mut out = heading(plan);
    section(&mut out, "Decisions", decisions(plan));
    section(&mut out, "Commands", plan.steps.iter().map(command).collect());
    if let Some(image) = &plan.image {
        let mut lines: Vec<String> = image.references.clone();
        lines.extend(image.layers.iter().map(|layer| {
            let from = match &layer.from {
                LayerSource::Jar => "from the jar".to_owned(),
                LayerSource::Source => "the application's files".to_owned(),
                LayerSource::Output(name) => format!("output `{name}`"),
                LayerSource::Directory(name) => format!("directory `{name}`"),
                LayerSource::Found(name) => format!("files `{name}`"),
                LayerSource::Files { paths, .. } => words(paths),
            };
            format!("layer {:<22} {:<16} {from}", layer.name, layer.to)
        }));
        section(&mut out, "Image", lines);
    }
    if let Some(dockerfile) = &plan.dockerfile {
        section(&mut out, "Dockerfile", dockerfile.lines().map(str::to_owned).collect());
    }
    section(&mut out, "Warnings", plan.warnings.iter().flat_map(warning).collect());
    out
}

fn heading(plan: &Plan) -> String {
    let application = &plan.application;
    let source = &plan.source;
    let mut out = format!("{}/{}: a {}", application.product_line, application.name, application.kind);
    if let Some(url) = &source.url {
        let _ = write!(out, " from {url}");
    }
    if let Some(revision) = &source.revision {
        let _ = write!(out, " {revision}");
    }
    if let Some(commit) = &source.commit {
        let _ = write!(out, " at {}", commit.get(..12).unwrap_or(commit));
    }
    if source.dirty {
        out.push_str(", with uncommitted changes");
    }
    out.push('\n');
    out
}

fn section(out: &mut String, title: &str, lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    for line in lines {
        let _ = writeln!(out, "{}", format!("  {line}").trim_end());
    }
}

fn decisions(plan: &Plan) -> Vec<String> {
    let width = plan.decisions.iter().map(|decision| decision.key.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for decision in &plan.decisions {
        lines.push(format!("{:<width$}  {}  ({})", decision.key, value(&decision.value), decision.origin));
        for rejected in &decision.rejected {
            lines.push(format!(
                "{:<width$}  not {} ({}): {}",
                "",
                value(&rejected.value),
                rejected.origin,
                rejected.why
            ));
        }
    }
    lines
}

fn command(step: &PlannedStep) -> String {
    let network = match step.network {
        Network::None => ", no network",
        Network::Bridge => "",
        Network::Host => ", the host's network",
    };
    format!("{:<8} {}  (in {}{network})", step.step, words(&step.command), step.workdir)
}

fn warning(warning: &Warning) -> Vec<String> {
    let place = match (&warning.path, warning.line) {
        (Some(path), Some(line)) => format!("{path}:{line}: "),
        (Some(path), None) => format!("{path}: "),
        _ => String::new(),
    };
    vec![format!("{place}{}", warning.message), format!("  {}", warning.hint)]
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        Value::Array(elements) if elements.is_empty() => "none".to_owned(),
        Value::Array(elements) if elements.iter().all(Value::is_string) => {
            words(&elements.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>())
        }
        other => other.to_string(),
    }
}

/// A command as a person would type it; for reading, no shell ever sees it.
#[must_use]
pub fn words(command: &[String]) -> String {
    let plain =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:=@%+,^".contains(&b));
    let quoted = command.iter().map(|word| if plain(word) { word.clone() } else { format!("'{}'", printable(word)) });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Control characters of the repository do not reach the terminal.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}
