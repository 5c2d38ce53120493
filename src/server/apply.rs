//! `slipway apply`: applications become what a file says, all of it or nothing, or it is only shown what would change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Shared;
use super::access::{Role, Who};
use super::application::{Application, Applications};
use super::http::problem::Problem;
use super::store::applications::{self, Stored};
use super::store::{self, Change, commit};
use crate::model::failure::{Failure, FailureCode};

/// What is asked of `POST /api/v1/applications/apply`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Apply {
    /// The applications.
    pub(super) application: Vec<Application>,
    /// Whether applications that are not among these are removed.
    pub(super) prune: bool,
    /// Whether it is only shown what would change.
    pub(super) dry_run: bool,
}

/// What became of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// Product line and name.
    pub application: String,
    /// `created`, `changed`, `removed` or `unchanged`.
    pub action: String,
    /// Every setting that changes.
    pub changes: Vec<Changed>,
}

/// A setting that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// Its path: `runtime.ports`.
    pub path: String,
    /// What it was, as JSON; absent where it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it becomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Reads `applications.toml` and gives the body that the server is asked with.
///
/// # Errors
/// `request_invalid` with the line.
pub fn apply(text: &str, file: &str, prune: bool, dry_run: bool) -> Result<Value, Failure> {
    let invalid = |why: &str, line| {
        Failure::new(FailureCode::RequestInvalid, format!("`{file}` cannot be applied: {why}")).at(file, line)
    };
    let read: Applications = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.and_then(|before| u32::try_from(before.matches('\n').count() + 1).ok());
        invalid(error.message(), line)
    })?;
    for application in &read.application {
        application.check().map_err(|failure| {
            let name = format!("{}/{}", application.product_line, application.name);
            invalid(&format!("`{name}`: {}", failure.message), None)
        })?;
    }
    serde_json::to_value(Apply { application: read.application, prune, dry_run })
        .map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))
}

/// Asks a server, and gives the status and the body of its answer.
///
/// # Errors
/// `internal`, which may pass, where nothing answers.
pub async fn ask(server: &str, path: &str, token: &str, body: &Value) -> Result<(u16, Value), Failure> {
    let unreachable = |error: reqwest::Error| {
        Failure::new(FailureCode::Internal, format!("`{server}` does not answer: {error}"))
            .hint("start it with `slipway server`, or say where it is with `--server`")
    };
    let client = reqwest::Client::builder().timeout(std::time::Duration::from_mins(1)).build().map_err(unreachable)?;
    let request = client.post(format!("{}{path}", server.trim_end_matches('/'))).bearer_auth(token);
    let request = request.header("Content-Type", "application/json").body(body.to_string());
    let answer = request.send().await.map_err(unreachable)?;
    let status = answer.status().as_u16();
    let text = answer.bytes().await.map_err(unreachable)?;
    Ok((status, serde_json::from_slice(&text).unwrap_or_default()))
}

/// Applies all of it in one change.
pub(super) async fn apply_all(shared: &Shared, who: &Who, asked: &Apply) -> Result<Vec<Applied>, Problem> {
    let mut seen = std::collections::BTreeSet::new();
    let mut applied = Vec::new();
    let mut change = shared.store.change().await?;
    for application in &asked.application {
        let name = format!("{}/{}", application.product_line, application.name);
        if !seen.insert(name.clone()) {
            return Err(Problem::bad_request(&format!("`{name}` stands in it twice")));
        }
        let (product_line, short) = (application.product_line.as_str(), application.name.as_str());
        let before = shared.store.application(product_line, short).await?;
        let old: Value = before.as_ref().and_then(|stored| serde_json::from_str(&stored.body).ok()).unwrap_or_default();
        let changes = differences(&old, &serde_json::to_value(application).unwrap_or_default());
        let action = match (&before, changes.is_empty()) {
            (None, _) => "created",
            (Some(_), true) => "unchanged",
            (Some(_), false) => "changed",
        };
        if action != "unchanged" && !asked.dry_run {
            store_one(&mut change, &who.name, application).await?;
        }
        applied.push(Applied { application: name, action: action.to_owned(), changes });
    }
    if asked.prune {
        for stored in shared.store.applications(&who.product_line).await? {
            let name = format!("{}/{}", stored.product_line, stored.name);
            if seen.contains(&name) {
                continue;
            }
            who.must_in(Role::Admin, &stored.product_line)?;
            if !asked.dry_run {
                remove_one(&mut change, &who.name, &stored.product_line, &stored.name).await?;
            }
            applied.push(Applied { application: name, action: "removed".to_owned(), changes: Vec::new() });
        }
    }
    commit(change).await?;
    Ok(applied)
}

/// Writes an application's next version.
pub(super) async fn store_one(change: &mut Change, who: &str, application: &Application) -> Result<(), Failure> {
    let body = serde_json::to_string(application).unwrap_or_default();
    write(
        change,
        who,
        application.product_line.as_str(),
        application.name.as_str(),
        body,
        &application.repository_path(),
    )
    .await
}

/// Removes an application; that is a version too.
pub(super) async fn remove_one(change: &mut Change, who: &str, product_line: &str, name: &str) -> Result<(), Failure> {
    write(change, who, product_line, name, String::new(), "").await
}

async fn write(
    change: &mut Change,
    who: &str,
    product_line: &str,
    name: &str,
    body: String,
    repository: &str,
) -> Result<(), Failure> {
    applications::held(change, product_line, name).await?;
    let version = applications::newest(change, product_line, name).await? + 1;
    let action = if body.is_empty() { "application.remove" } else { "application.put" };
    let stored = Stored {
        product_line: product_line.to_owned(),
        name: name.to_owned(),
        version,
        body,
        changed_ms: 0,
        who: who.to_owned(),
    };
    applications::put(change, &stored, repository).await?;
    store::audit::note(change, who, action, &format!("{product_line}/{name}"), &format!("version {version}")).await
}

/// Every leaf that differs, by its path.
fn differences(before: &Value, after: &Value) -> Vec<Changed> {
    let (before, after) = (leaves(before), leaves(after));
    let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    paths.sort();
    paths.dedup();
    let differs = paths.into_iter().filter(|path| before.get(path.as_str()) != after.get(path.as_str()));
    let text = |leaves: &Map<String, Value>, path: &str| leaves.get(path).map(ToString::to_string);
    differs.map(|path| Changed { path: path.clone(), before: text(&before, path), after: text(&after, path) }).collect()
}

fn leaves(value: &Value) -> Map<String, Value> {
    fn collect(path: &str, value: &Value, into: &mut Map<String, Value>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    collect(&path, value, into);
                }
            }
            Value::Null => {}
            Value::Array(array) if array.is_empty() => {}
            leaf => {
                into.insert(path.to_owned(), leaf.clone());
            }
        }
    }
    let mut found = Map::new();
    collect("", value, &mut found);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_name_the_setting() {
        let before = json!({ "a": { "b": 1, "c": [1] }, "d": "x", "n": null });
        let after = json!({ "a": { "b": 2, "c": [1] }, "e": true });
        let changed = |path: &str, before: Option<&str>, after: Option<&str>| Changed {
            path: path.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let expected =
            [changed("a.b", Some("1"), Some("2")), changed("d", Some("\"x\""), None), changed("e", None, Some("true"))];
        assert_eq!(differences(&before, &after), expected);
    }

    #[test]
    fn a_file_is_read_with_its_lines() {
        let good =
            "[[application]]\nproduct_line = \"trade\"\nname = \"order\"\nrepository = \"https://g.example/a.git\"\n";
        assert_eq!(apply(good, "a.toml", false, true).unwrap()["application"][0]["name"], "order");
        let failure = apply(&good.replace("name =", "nmae ="), "a.toml", false, true).unwrap_err();
        assert_eq!(failure.places[0].path, "a.toml");
        assert!(failure.message.contains("nmae") || failure.message.contains("name"), "{}", failure.message);
    }
}
