//! Comments on merge requests: one for each application, brought up to date in place.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};

use super::super::Shared;
use super::super::store::Change;
use super::super::store::builds::{Build, Filter};
use super::super::store::outbox::{self, Kind, Untold};
use super::client::{Client, Refusal};
use crate::config::Config;
use crate::model::failure::Failure;
use crate::model::report::BuildReport;

/// Says with a change what became of a merge request's build.
pub(in crate::server) async fn say(
    shared: &Shared,
    change: &mut Change,
    build: &Build,
    report: &BuildReport,
) -> Result<(), Failure> {
    let Some((project, number)) = build.place().and_then(|place| place.merge_request) else { return Ok(()) };
    let filter = Filter {
        product_line: build.product_line.clone(),
        application: build.application.clone(),
        state: "succeeded".to_owned(),
        limit: 2,
        ..Filter::default()
    };
    // The change is not written yet, so what is found is older.
    let before = shared.store.builds(&filter).await?.into_iter().find(|other| other.id != build.id);
    let text = text(report, before.map(|before| before.size), &format!("{}/builds/{}", shared.url(), build.id));
    let key = format!("{project}/{number}/{}/{}", build.product_line, build.application);
    outbox::say(change, Kind::Note, &key, &text).await
}

/// The comment, as GitLab's Markdown.
fn text(report: &BuildReport, before: Option<i64>, url: &str) -> String {
    let application = format!("{}/{}", report.application.product_line, report.application.name);
    let mut text =
        format!("**Slipway**: `{application}` {} ([build]({url}))\n", report.outcome.name().replace('_', " "));
    if let Some(image) = report.image.as_ref().filter(|image| image.pushed) {
        let size = i64::try_from(image.size).unwrap_or(i64::MAX);
        let change =
            before.filter(|before| *before > 0).map(|before| format!(" ({:+.1} MiB)", mebibytes(size - before)));
        let _ = write!(text, "\n| image | digest | size |\n| --- | --- | --- |\n");
        for reference in &image.references {
            let _ = writeln!(
                text,
                "| `{reference}` | `{}` | {:.1} MiB{} |",
                image.digest,
                mebibytes(size),
                change.as_deref().unwrap_or_default()
            );
        }
    }
    if let Some(failure) = &report.failure {
        // Nothing that a project prints may become a link, a picture or a mention.
        let said = |text: &str| text.replace('`', "'").replace(['\r', '\n'], " ");
        let _ =
            write!(text, "\n`{}`: `{}`\n\n`{}`\n", failure.code.name(), said(&failure.message), said(&failure.hint));
    }
    text
}

#[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
fn mebibytes(bytes: i64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Tells GitLab, and gives the comment's number.
pub(super) async fn send(client: &Client, config: &Config, word: &Untold) -> Result<i64, Refusal> {
    let mut parts = word.key.splitn(3, '/');
    let (Some(project), Some(number)) = (parts.next(), parts.next()) else {
        return Err(Refusal::Final("the comment has no place".to_owned()));
    };
    let notes = format!("/projects/{project}/merge_requests/{number}/notes");
    let body = json!({ "body": word.body });
    if word.note > 0 {
        let path = format!("{notes}/{}", word.note);
        match client.call(config, Method::PUT, &path, Some(&body)).await {
            // Somebody removed it: it is written anew.
            Err(Refusal::Final(why)) if why.starts_with("404") => {}
            answer => return answer.map(|_| word.note),
        }
    }
    let answer = client.call(config, Method::POST, &notes, Some(&body)).await?;
    Ok(answer.get("id").and_then(Value::as_i64).unwrap_or_default())
}
