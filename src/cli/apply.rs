//! `slipway apply`: makes the server's applications what a file says.

use std::process::ExitCode;

use serde_json::Value;

use super::args::{ApplyFlags, Cli, FormatKind};
use super::print;
use crate::model::failure::{Failure, FailureCode};
use crate::server::{self, Applied};

/// Asks the server, and shows what changes.
pub(super) async fn apply(_: &Cli, flags: &ApplyFlags) -> Result<ExitCode, Failure> {
    let invalid = |why: String| Failure::new(FailureCode::RequestInvalid, why);
    let text = tokio::fs::read_to_string(&flags.file).await;
    let text = text.map_err(|error| {
        invalid(format!("`{}` cannot be read: {error}", flags.file.display())).hint("say where the file is")
    })?;
    let body = server::apply(&text, &flags.file.display().to_string(), flags.prune, flags.dry_run)?;
    let token = crate::environment::variable("SLIPWAY_TOKEN").ok_or_else(|| {
        Failure::new(FailureCode::ConfigurationInvalid, "the environment variable `SLIPWAY_TOKEN` holds no token")
            .hint("set it to a token with the role `admin`")
    })?;
    let (status, answer) = server::ask(&flags.server, "/api/v1/applications/apply", &token, &body).await?;
    if status != 200 {
        return Err(refused(status, &answer));
    }
    if flags.format.format != FormatKind::Text {
        return print::json(&answer);
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

/// Why the server did not do it, and whose turn it is.
fn refused(status: u16, answer: &Value) -> Failure {
    let said = answer["title"].as_str().unwrap_or("it says nothing that is understood");
    let (code, hint) = match status {
        401 | 403 => (FailureCode::ConfigurationInvalid, "set `SLIPWAY_TOKEN` to a token with the role `admin`"),
        400 | 409 | 413 | 422 => (FailureCode::RequestInvalid, "correct the file"),
        404 | 405 => (FailureCode::ConfigurationInvalid, "say with `--server` where Slipway's server is"),
        _ => (FailureCode::Internal, "try again; if it stays, look at the server's log"),
    };
    let hint = answer["hint"].as_str().filter(|hint| !hint.is_empty()).unwrap_or(hint);
    Failure::new(code, format!("the server refuses ({status}): {said}")).hint(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_says_whose_turn_it_is() {
        let of = |status| refused(status, &json!({ "title": "no", "hint": "" }));
        assert!(of(401).hint.contains("SLIPWAY_TOKEN") && of(403).code == FailureCode::ConfigurationInvalid);
        assert_eq!((of(400).code, of(400).hint.as_str()), (FailureCode::RequestInvalid, "correct the file"));
        assert!(of(503).retryable && of(429).retryable && of(502).retryable);
        assert!(refused(404, &Value::Null).hint.contains("--server"));
        assert_eq!(refused(400, &json!({ "title": "no", "hint": "do it" })).hint, "do it");
    }
}
