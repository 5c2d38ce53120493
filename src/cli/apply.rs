//! `slipway apply`: makes the server's applications what a file says.

use std::process::ExitCode;

use super::args::{ApplyFlags, Cli, FormatKind};
use super::setup;
use crate::model::failure::{Failure, FailureCode};
use crate::server::{self, Applied};

/// Asks the server, and shows what changes.
pub(super) async fn apply(_: &Cli, flags: &ApplyFlags) -> Result<ExitCode, Failure> {
    let invalid = |why: String| Failure::new(FailureCode::RequestInvalid, why);
    let text = tokio::fs::read_to_string(&flags.file).await;
    let text = text.map_err(|error| invalid(format!("`{}` cannot be read: {error}", flags.file.display())))?;
    let body = server::apply(&text, &flags.file.display().to_string(), flags.prune, flags.dry_run)?;
    let token = crate::environment::variable("SLIPWAY_TOKEN").ok_or_else(|| {
        Failure::new(FailureCode::ConfigurationInvalid, "the environment variable `SLIPWAY_TOKEN` holds no token")
            .hint("set it to a token with the role `admin`")
    })?;
    let (status, answer) = server::ask(&flags.server, "/api/v1/applications/apply", &token, &body).await?;
    if status != 200 {
        let said = answer["title"].as_str().unwrap_or("it says nothing that is understood");
        return Err(invalid(format!("the server refuses ({status}): {said}"))
            .hint(answer["hint"].as_str().filter(|hint| !hint.is_empty()).unwrap_or("correct the file").to_owned()));
    }
    if flags.format.format != FormatKind::Text {
        return setup::print_json(&answer);
    }
    let applied: Vec<Applied> = serde_json::from_value(answer).map_err(|error| invalid(error.to_string()))?;
    for one in &applied {
        anstream::println!("{} {}", one.action, one.application);
        for change in &one.changes {
            let (before, after) = (change.before.as_deref().unwrap_or("-"), change.after.as_deref().unwrap_or("-"));
            anstream::println!("  {}: {before} -> {after}", change.path);
        }
    }
    if flags.dry_run {
        anstream::eprintln!("nothing was changed: leave out `--dry-run` to change it");
    }
    Ok(ExitCode::SUCCESS)
}
