//! `slipway init`: a commented `slipway.toml` with what was found.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::args::{Cli, InitFlags};
use super::{explain, plan, request};
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::Decision;
use crate::model::plan::Plan;
use crate::model::request::RequestedSource;

/// The tables of `slipway.toml` that planning fills, in the order of their reading.
const TABLES: &[&str] = &["application", "toolchain", "image", "runtime", "runtime.env"];

/// Plans and writes `slipway.toml` into the application's directory; to stdout for a repository given by URL.
pub(super) async fn init(cli: &Cli, flags: &InitFlags, cancel: &CancellationToken) -> Result<ExitCode, Failure> {
    let request = request::request(&flags.common, &[])?;
    let outcome = tokio::select! {
        outcome = plan::decide(cli, &flags.common) => outcome,
        () = cancel.cancelled() => Err(Failure::new(FailureCode::Cancelled, "planning was cancelled")),
    };
    let text = match &outcome {
        Ok(plan) => found(plan),
        // What a line of settings does not settle is no beginning of a file.
        Err(failure) if failure.candidates.is_empty() => return outcome.map(|_| ExitCode::SUCCESS),
        Err(failure) => unsettled(failure),
    };
    let RequestedSource::Directory { path, directory, .. } = &request.source else {
        anstream::print!("{text}");
        return Ok(ExitCode::SUCCESS);
    };
    let directory = outcome.as_ref().map_or(directory.as_str(), |plan| plan.source.directory.as_str());
    let file = path.join(directory).join("slipway.toml");
    let failed = |why: String| Failure::new(FailureCode::RequestInvalid, format!("`{}` {why}", file.display()));
    if file.exists() && !flags.force {
        return Err(failed("is already there".into()).hint("give `--force` to write it anew"));
    }
    std::fs::write(&file, text).map_err(|error| failed(format!("cannot be written: {error}")))?;
    anstream::println!("{}", file.display());
    if let Err(failure) = &outcome {
        explain::to_stderr(failure);
    }
    Ok(ExitCode::SUCCESS)
}

const HEAD: &str =
    "# How Slipway builds this application. Every key may be left out; the configuration reference has all of them.\n";

/// The file for a plan: every decision that a setting could make, as a comment with its origin.
fn found(plan: &Plan) -> String {
    let mut text = HEAD.to_owned();
    text.push_str(
        "# Below stands what Slipway found by itself, and where. Remove the `#` before a line to state it yourself.\n",
    );
    for table in TABLES {
        let lines: Vec<String> = plan.decisions.iter().filter_map(|decision| line(table, decision)).collect();
        if lines.is_empty() {
            continue;
        }
        let _ = write!(text, "\n[{table}]\n{}", lines.concat());
    }
    text
}

/// `# key = value  # origin` for a decision of the table.
fn line(table: &str, decision: &Decision) -> Option<String> {
    let key = decision.key.strip_prefix(table)?.strip_prefix('.')?;
    if key.contains('.') {
        return None;
    }
    let assignment = format!("# {key} = {}", toml_value(&decision.value)?);
    Some(format!("# {}\n{assignment}\n", comment(&decision.origin.to_string())))
}

/// The file where planning stops at something that a setting settles.
fn unsettled(failure: &Failure) -> String {
    let (table, key) = match failure.code {
        FailureCode::EcosystemAmbiguous | FailureCode::EcosystemUnrecognised => ("toolchain", "name"),
        FailureCode::VersionUnknown | FailureCode::VersionConflict => ("toolchain", "version"),
        FailureCode::ProcessAmbiguous => ("application", "process"),
        _ => ("application", "module"),
    };
    let mut text =
        format!("{HEAD}# Planning stops: {}\n# {}\n\n[{table}]\n", comment(&failure.message), comment(&failure.hint));
    for candidate in &failure.candidates {
        let _ = writeln!(text, "# {key} = {}", toml::Value::String(candidate.clone()));
    }
    text
}

/// One line, whatever the repository's names hold.
fn comment(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

fn toml_value(value: &Value) -> Option<String> {
    toml::Value::try_from(value).ok().map(|value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::origin::Origin;

    #[test]
    fn decisions_become_comments_with_their_origin() {
        let decision = |key: &str, value: Value| Decision {
            key: key.into(),
            value,
            origin: Origin::file("cmd/a\n/main.go", Some(3), "func main"),
            rejected: Vec::new(),
        };
        let module = decision("application.module", "./cmd/\"a\"".into());
        let shown = line("application", &module).unwrap();
        assert_eq!(shown, "# cmd/a\\n/main.go:3: func main\n# module = './cmd/\"a\"'\n");
        assert_eq!(line("runtime", &module), None);
        assert_eq!(line("runtime", &decision("runtime.env.PORT", "8080".into())), None);
        assert!(
            line("runtime.env", &decision("runtime.env.PORT", "8080".into())).unwrap().contains("# PORT = \"8080\"")
        );
    }

    #[test]
    fn what_planning_asks_is_offered() {
        let failure = Failure::new(FailureCode::ApplicationAmbiguous, "several programs")
            .candidates(["./cmd/a".into(), "./cmd/b".into()]);
        let text = unsettled(&failure);
        assert!(text.contains("[application]\n# module = \"./cmd/a\"\n# module = \"./cmd/b\"\n"), "{text}");
        assert!(toml::from_str::<toml::Table>(&text).is_ok());
    }
}
