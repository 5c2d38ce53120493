//! Failures and warnings for people: code, place, what happened, what to do.

use std::fmt::Write as _;

use crate::model::failure::{Failure, Warning};

const RED: &str = "\u{1b}[1;31m";
const YELLOW: &str = "\u{1b}[1;33m";
const CYAN: &str = "\u{1b}[36m";
const RESET: &str = "\u{1b}[0m";

/// Writes a failure to stderr; colours only where a terminal shows them.
pub(super) fn to_stderr(failure: &Failure) {
    anstream::eprint!("{}", failure_text(failure));
}

/// Writes warnings to stderr.
pub(super) fn warnings(warnings: &[Warning]) {
    for warning in warnings {
        anstream::eprint!("{}", warning_text(warning));
    }
}

fn failure_text(failure: &Failure) -> String {
    let mut out = String::new();
    for line in &failure.log_tail {
        let _ = writeln!(out, "  | {line}");
    }
    let _ = writeln!(out, "{RED}error[{}]{RESET}: {}", failure.code.name(), failure.message);
    if let Some(step) = failure.step {
        let _ = writeln!(out, "  {CYAN}step{RESET}: {step}");
    }
    for place in &failure.places {
        let numbers = [place.line, place.column].into_iter().flatten();
        let at = numbers.fold(String::new(), |at, number| format!("{at}:{number}"));
        let _ = writeln!(out, "  {CYAN}-->{RESET} {}{at}", place.path);
    }
    if !failure.candidates.is_empty() {
        let _ = writeln!(out, "  {CYAN}one of{RESET}: {}", failure.candidates.join(", "));
    }
    let _ = writeln!(out, "  {CYAN}hint{RESET}: {}", failure.hint);
    out
}

fn warning_text(warning: &Warning) -> String {
    let mut out = format!("{YELLOW}warning[{}]{RESET}: {}\n", warning.code, warning.message);
    if let Some(path) = &warning.path {
        let line = warning.line.map(|line| format!(":{line}")).unwrap_or_default();
        let _ = writeln!(out, "  {CYAN}-->{RESET} {path}{line}");
    }
    let _ = writeln!(out, "  {CYAN}hint{RESET}: {}", warning.hint);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::failure::FailureCode;

    #[test]
    fn places_are_written_as_editors_read_them() {
        let failure = Failure::new(FailureCode::SettingsInvalid, "no")
            .at_column("slipway.toml", Some(3), Some(7))
            .at("go.mod", Some(2))
            .at("pom.xml", None);
        let text = anstream::adapter::strip_str(&failure_text(&failure)).to_string();
        assert!(text.contains("  --> slipway.toml:3:7\n  --> go.mod:2\n  --> pom.xml\n"), "{text}");
    }
}
