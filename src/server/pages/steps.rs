//! Steps as a drawing of when each ran: of a report, or of a build that runs.

use serde_json::{Value, json};

use super::words;
use crate::model::report::{BuildReport, StepReport};

/// A step of the drawing.
struct Step<'a> {
    name: &'a str,
    outcome: &'static str,
    cached: bool,
    /// In milliseconds.
    took: u64,
}

/// The steps of a build that has ended.
pub(super) fn ended(report: &BuildReport) -> Value {
    let step = |step: &StepReport| Step {
        name: step.step.name(),
        outcome: step.outcome.name(),
        cached: step.cached,
        took: step.duration_ms,
    };
    let steps: Vec<Step<'_>> = report.steps.iter().map(step).collect();
    drawn(&steps)
}

/// The steps of a build that runs: a line for each of its name and when it began, in milliseconds.
pub(super) fn running(lines: &str, now: i64) -> Value {
    let begun: Vec<(&str, i64)> = lines
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, at)| Some((name, at.parse().ok()?)))
        .collect();
    let ends = begun.iter().skip(1).map(|(_, at)| *at).chain([now]);
    let last = begun.len().saturating_sub(1);
    let steps: Vec<Step<'_>> = begun
        .iter()
        .zip(ends)
        .enumerate()
        .map(|(index, ((name, at), end))| Step {
            name,
            outcome: if index == last { "running" } else { "succeeded" },
            cached: false,
            took: u64::try_from(end - at).unwrap_or_default(),
        })
        .collect();
    drawn(&steps)
}

/// Each with its place in hundredths of the whole.
fn drawn(steps: &[Step<'_>]) -> Value {
    let all = steps.iter().map(|step| step.took).sum::<u64>().max(1);
    let mut at = 0;
    let row = |step: &Step<'_>| {
        let (x, width) = (at * 100 / all, (step.took * 100 / all).max(1));
        at += step.took;
        json!({
            "step": step.name, "outcome": step.outcome, "cached": step.cached, "x": x, "width": width,
            "duration": words::duration(i64::try_from(step.took).unwrap_or(i64::MAX).max(1)),
        })
    };
    steps.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_lasts_until_now() {
        let steps = running("checkout 1000\ncompile 2000\n", 5000);
        assert_eq!(steps[0]["duration"], "1.0 s");
        assert_eq!(
            (&steps[0]["x"], &steps[0]["width"], &steps[0]["outcome"]),
            (&json!(0), &json!(25), &json!("succeeded"))
        );
        assert_eq!(
            (&steps[1]["x"], &steps[1]["width"], &steps[1]["outcome"]),
            (&json!(25), &json!(75), &json!("running"))
        );
        assert_eq!(running("", 5000), json!([]));
    }
}
