//! Comments on merge requests: one for each application, brought up to date in place.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};

use super::super::Shared;
use super::super::api::newer_like;
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
    // The comment is about the newest commit: an older build that ends later, or gave way to it, has no say any more.
    if newer_like(shared, build).await?.is_some() {
        return Ok(());
    }
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
    let text = format!("{text}\n{}\n", marker(&key));
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
    if report.failure.is_none() && report.image.as_ref().is_some_and(|image| !image.pushed) {
        text.push_str("\nThe image was built and started, and is not pushed: nobody vouches for a fork.\n");
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

/// What a comment of ours is known by, which nobody sees.
fn marker(key: &str) -> String {
    let application = key.splitn(3, '/').nth(2).unwrap_or_default();
    format!("<!-- slipway: {application} -->")
}

/// Tells GitLab, and gives the comment's number.
pub(super) async fn send(client: &Client, config: &Config, word: &Untold) -> Result<i64, Refusal> {
    let mut parts = word.key.splitn(3, '/');
    let (Some(project), Some(number)) = (parts.next(), parts.next()) else {
        return Err(Refusal::Final("the comment has no place".to_owned()));
    };
    let notes = format!("/projects/{project}/merge_requests/{number}/notes");
    let body = json!({ "body": word.body });
    let known = match word.note {
        // GitLab may have taken one and not got to say so; that one is brought up to date.
        0 => written(client, config, &notes, &marker(&word.key)).await?,
        note => vec![note],
    };
    for note in known {
        match client.call(config, Method::PUT, &format!("{notes}/{note}"), Some(&body)).await {
            // Somebody removed it, or it is somebody else's who copied ours: ours is written anew.
            Err(Refusal::Final(why) | Refusal::Later(why)) if why.starts_with("404") || why.starts_with("403") => {}
            answer => return answer.map(|_| note),
        }
    }
    let answer = client.call(config, Method::POST, &notes, Some(&body)).await?;
    Ok(answer.get("id").and_then(Value::as_i64).unwrap_or_default())
}

/// The most pages of comments that are looked through: ours is an early one.
const PAGES: u32 = 20;

/// The numbers of the comments that have the marker, the oldest first.
async fn written(client: &Client, config: &Config, notes: &str, marker: &str) -> Result<Vec<i64>, Refusal> {
    let mut found = Vec::new();
    for page in 1..=PAGES {
        let path = format!("{notes}?sort=asc&order_by=created_at&per_page=100&page={page}");
        let answer = match client.call(config, Method::GET, &path, None).await {
            // What cannot be looked through has none of ours.
            Err(Refusal::Final(_)) => break,
            answer => answer?,
        };
        let listed = answer.as_array().map(Vec::as_slice).unwrap_or_default();
        let ours = listed.iter().filter(|note| note["body"].as_str().is_some_and(|body| body.contains(marker)));
        found.extend(ours.filter_map(|note| note["id"].as_i64()));
        if listed.len() < 100 {
            break;
        }
    }
    Ok(found)
}
