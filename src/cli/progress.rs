//! Progress: a spinner with the last line on a terminal, plain lines elsewhere, events as JSON lines.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::args::FormatKind;
use crate::model::report::{BuildEvent, Outcome};

/// Shows events to a person or a program.
pub(super) struct Progress {
    format: FormatKind,
    quiet: bool,
    lines: bool,
    spinner: Option<ProgressBar>,
}

impl Progress {
    /// For this format and loudness.
    pub(super) fn new(format: FormatKind, quiet: bool, verbose: u8) -> Self {
        let terminal = std::io::stderr().is_terminal() && !quiet && verbose == 0 && format != FormatKind::Jsonl;
        let spinner = terminal.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:10} {elapsed:>4} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { format, quiet, lines: spinner.is_none(), spinner }
    }

    /// Shows an event.
    pub(super) fn event(&self, event: &BuildEvent) {
        if self.format == FormatKind::Jsonl {
            if let Ok(line) = serde_json::to_string(event) {
                anstream::println!("{line}");
            }
            return;
        }
        if self.quiet {
            return;
        }
        match event {
            BuildEvent::Accepted { .. } => {}
            BuildEvent::StepStarted { step } => {
                if let Some(bar) = &self.spinner {
                    bar.set_prefix(step.name());
                }
            }
            BuildEvent::StepFinished(report) => {
                let mark = if report.outcome == Outcome::Succeeded { "done" } else { "failed" };
                self.line(&format!("{:<10} {mark} in {} ms", report.step, report.duration_ms));
            }
            BuildEvent::Log { step, line } => match &self.spinner {
                Some(bar) => bar.set_message(line.clone()),
                None if self.lines => anstream::eprintln!("{:<10} | {line}", step.name()),
                None => {}
            },
        }
    }

    fn line(&self, text: &str) {
        match &self.spinner {
            Some(bar) => bar.suspend(|| anstream::eprintln!("{text}")),
            None => anstream::eprintln!("{text}"),
        }
    }

    /// Takes the spinner away.
    pub(super) fn done(&self) {
        if let Some(bar) = &self.spinner {
            bar.finish_and_clear();
        }
    }
}
