//! The page of a build: what went wrong on top, then steps, log, decisions, Dockerfile and layers.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Refused, Viewer, overview, page, steps, words};
use crate::message::BuildMessage;
use crate::model::origin::OriginKind;
use crate::model::report::BuildReport;
use crate::model::source::RepositoryUrl;
use crate::server::Shared;
use crate::server::api::builds_seen as seen;
use crate::server::logs::Piece;
use crate::server::store::builds::{Build, Filter};
use crate::server::store::now;

/// What is shown of a log at first, in bytes of the page; the rest is a link away.
const LAST: usize = 48 << 10;

pub(super) async fn build(
    State(shared): State<Arc<Shared>>,
    Viewer(who): Viewer,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let (build, id) = seen(&shared, &who, &id).await?;
    let report = shared.store.report(&build.id).await?;
    // Who has the page already and looks whether it changed has the log too: counting its lines would be for nothing.
    let log = match headers.get("slipway-log") {
        Some(_) => Piece { start: 0, text: "".into() },
        None => light(shared.logs.last(&id, LAST as u64).await?),
    };
    let line = shared.logs.lines_before(&id, log.start).await?;
    let url = BuildMessage::parse(build.message.as_bytes()).ok().map(|message| message.source.url);
    let web = url.as_ref().and_then(|url| web(url, shared.config.server.gitlab.url.as_deref()));
    let previous = previous(&shared, &build).await?;
    let mut values = json!({
        "build": overview::row(&shared, &build),
        "over": build.is_over(),
        "repository": url.map(|url| url.to_string()).unwrap_or_default(),
        "commit_url": web.as_ref().filter(|_| !build.commit.is_empty()).map(|web| format!("{web}/-/commit/{}", build.commit)).unwrap_or_default(),
        "log": log.text.as_ref(), "log_from": log.start, "log_line": line, "log_to": log.end(),
        "log_to_line": line + log.text.matches('\n').count() as u64,
        "failure": null, "steps": steps::running(&build.steps, now()), "decisions": [], "warnings": [], "dockerfile": "", "layers": [], "references": [],
        "digest": "", "base": "", "compared": [], "library": "",
    });
    if let Some(report) = &report {
        describe(&mut values, report, web.as_deref(), &build.commit);
        values["compared"] = compared(&shared, &build, report, previous.as_ref()).await?;
    }
    let title = format!("{}/{}: {}", build.product_line, build.application, words::state(&build.state));
    page(&who, "build.html", &title, values)
}

/// The last lines that stand in the page with so many bytes: markup signs take several there.
fn light(log: Piece) -> Piece {
    let weight = |byte: &u8| if b"<>&\"'/".contains(byte) { 6 } else { 1 };
    if log.text.bytes().map(|byte| weight(&byte)).sum::<usize>() <= LAST {
        return log;
    }
    let mut left = LAST;
    let fits = log.text.as_bytes().iter().rev().take_while(|byte| {
        left = left.saturating_sub(weight(byte));
        left > 0
    });
    let from = log.text.len() - fits.count();
    // A line that is cut is left out.
    let cut =
        log.text.as_bytes()[from..].iter().position(|byte| *byte == b'\n').map_or(log.text.len(), |at| from + at + 1);
    Piece { start: log.start + cut as u64, text: log.text[cut..].into() }
}

fn describe(values: &mut Value, report: &BuildReport, web: Option<&str>, commit: &str) {
    values["steps"] = steps::ended(report);
    let link = |path: &str, line: Option<u32>| {
        let place = web.filter(|_| !commit.is_empty() && !path.is_empty());
        let line = line.map(|line| format!("#L{line}")).unwrap_or_default();
        place.map(|web| format!("{web}/-/blob/{commit}/{}{line}", encoded(path))).unwrap_or_default()
    };
    if let Some(failure) = &report.failure {
        let places = failure.places.iter().map(|place| {
            json!({ "path": place.path, "line": place.line.unwrap_or_default(), "url": link(&place.path, place.line) })
        });
        values["failure"] = json!({
            "code": failure.code.name(), "message": failure.message, "hint": failure.hint, "candidates": failure.candidates,
            "step": failure.step.map_or("", |step| step.name()), "places": places.collect::<Vec<_>>(), "tail": failure.log_tail,
        });
    }
    let decision = |decision: &crate::model::origin::Decision| {
        let origin = &decision.origin;
        let path = origin.path.clone().unwrap_or_default();
        let in_tree = matches!(origin.kind, OriginKind::Tree | OriginKind::File);
        json!({
            "key": decision.key, "value": decision.value, "origin": origin.to_string(),
            "url": if in_tree { link(&path, origin.line) } else { String::new() },
        })
    };
    values["decisions"] = report.decisions.iter().map(decision).collect();
    let warning =
        |warning: &crate::model::failure::Warning| json!({ "message": warning.message, "hint": warning.hint });
    values["warnings"] = report.warnings.iter().map(warning).collect();
    values["dockerfile"] = json!(report.dockerfile.as_deref().unwrap_or_default());
    values["library"] = json!(
        report
            .library
            .as_ref()
            .map(|library| format!("{} in {}", library.coordinates, library.repository))
            .unwrap_or_default()
    );
    if let Some(image) = &report.image {
        let layer = |layer: &crate::model::report::ReportedLayer| {
            let size = words::size(i64::try_from(layer.size).unwrap_or(i64::MAX));
            json!({ "digest": layer.digest, "size": size, "reused": layer.reused })
        };
        values["layers"] = image.layers.iter().map(layer).collect();
        values["references"] = json!(image.references);
        values["digest"] = json!(image.digest);
        values["base"] = json!(image.base);
    }
}

/// The last build of the application that succeeded before this one.
async fn previous(shared: &Shared, build: &Build) -> Result<Option<Build>, Refused> {
    let filter = Filter {
        product_line: build.product_line.clone(),
        application: build.application.clone(),
        state: "succeeded".to_owned(),
        before: Some((build.created_ms, build.id.clone())),
        limit: 1,
        ..Filter::default()
    };
    Ok(shared.store.builds(&filter).await?.into_iter().next())
}

/// What differs from the build before.
async fn compared(
    shared: &Shared,
    build: &Build,
    report: &BuildReport,
    previous: Option<&Build>,
) -> Result<Value, Refused> {
    let Some(previous) = previous else { return Ok(json!([])) };
    let before = shared.store.report(&previous.id).await?;
    let took = |build: &Build| build.finished_ms - build.started_ms;
    let (longer, larger) = (took(build) - took(previous), build.size - previous.size);
    let mut rows = vec![json!({
        "what": "duration", "before": words::duration(took(previous)), "now": words::duration(took(build)),
        "change": words::signed(&signed_duration(longer), longer),
    })];
    if build.size > 0 {
        let change = words::signed(&words::size(larger), larger);
        rows.push(json!({ "what": "size", "before": words::size(previous.size), "now": words::size(build.size), "change": change }));
    }
    let value = |report: &BuildReport, key: &str| {
        let found = report.decisions.iter().find(|decision| decision.key == key);
        found.map(|decision| json!(decision.value)).unwrap_or_default()
    };
    for key in ["toolchain.name", "toolchain.version", "image.base", "entry"] {
        let (was, is) = (before.as_ref().map(|report| value(report, key)).unwrap_or_default(), value(report, key));
        if was != is {
            rows.push(json!({ "what": key, "before": shown(&was), "now": shown(&is), "change": "changed" }));
        }
    }
    Ok(json!(rows))
}

fn signed_duration(milliseconds: i64) -> String {
    let text = words::duration(milliseconds.abs());
    if milliseconds < 0 { format!("-{text}") } else { text }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The repository's page in GitLab; of what is cloned by SSH, where that is the GitLab that is known.
fn web(url: &RepositoryUrl, gitlab: Option<&str>) -> Option<String> {
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    if url.transport().is_http() {
        return Some(format!("{}{path}", url.authority()));
    }
    let gitlab =
        gitlab.and_then(|gitlab| gitlab.parse::<RepositoryUrl>().ok()).filter(|one| one.transport().is_http())?;
    let below = gitlab.path().trim_end_matches('/');
    let page = format!("{}{below}/{}", gitlab.authority(), path.trim_start_matches('/'));
    (gitlab.host().is_some() && gitlab.host() == url.host()).then_some(page)
}

/// A path in a URL.
fn encoded(path: &str) -> String {
    let part =
        |part: &str| url::form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>().replace('+', "%20");
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_its_page_however_it_is_cloned() {
        let of = |url: &str, gitlab| web(&url.parse().unwrap(), gitlab);
        let page = Some("https://gitlab.example.com/trade/order".to_owned());
        assert_eq!(of("https://gitlab.example.com/trade/order.git", None), page);
        assert_eq!(of("ssh://git@gitlab.example.com:2222/trade/order.git", Some("https://gitlab.example.com")), page);
        assert_eq!(of("git@gitlab.example.com:trade/order.git", Some("https://gitlab.example.com/")), page);
        let below = of("git@gitlab.example.com:trade/order.git", Some("https://gitlab.example.com/git/"));
        assert_eq!(below.as_deref(), Some("https://gitlab.example.com/git/trade/order"));
        assert_eq!(of("ssh://git@elsewhere.example.com/trade/order.git", Some("https://gitlab.example.com")), None);
        assert_eq!(of("ssh://git@gitlab.example.com/trade/order.git", None), None);
    }

    #[test]
    fn what_is_shown_of_a_log_has_its_weight_in_the_page() {
        let of = |line: &str| {
            let text = line.repeat((LAST - 1) / line.len());
            let light = light(Piece { start: 7, text: text.as_str().into() });
            assert_eq!(light.end(), 7 + text.len() as u64);
            assert!(light.text.starts_with(line) && light.text.ends_with('\n'));
            light.text.len()
        };
        assert!(of("plain\n") > LAST - 20);
        assert!((LAST / 7..LAST / 5).contains(&of("<\"ä\"><'&'></\">\n")), "{}", of("<\"ä\"><'&'></\">\n"));
    }
}
