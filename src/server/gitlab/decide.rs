//! What an event means for an application: purely from its payload and the application's rules.

use super::super::application::{Application, Wanted};
use super::super::store::builds::Place;
use super::payload::{Commit, Payload};
use crate::model::names::CommitSha;
use crate::model::source::Revision;

/// A build that an event asks for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) wanted: Wanted,
    /// `push`, `tag` or `merge_request`
    pub(super) cause: &'static str,
    pub(super) title: String,
    pub(super) place: Place,
}

/// What is to be built, or why nothing is.
pub(super) fn decide(payload: &Payload, application: &Application) -> Result<Asked, String> {
    match payload.object_kind.as_str() {
        "push" => push(payload, application),
        "tag_push" => tag(payload, application),
        "merge_request" => merge_request(payload, application),
        kind => Err(format!("events of the kind `{}` are not built", shown(kind))),
    }
}

fn push(payload: &Payload, application: &Application) -> Result<Asked, String> {
    let branch = payload.reference.strip_prefix("refs/heads/").ok_or("its reference is no branch")?;
    if is_nothing(&payload.after) {
        return Err("the branch was deleted".to_owned());
    }
    if payload.before == payload.after {
        return Err("nothing was pushed".to_owned());
    }
    if !application.rules.branch(branch) {
        return Err(format!("the branch `{}` is not among `rules.branches`", shown(branch)));
    }
    let commit = payload.checkout_sha.as_ref().unwrap_or(&payload.after);
    // A list that was cut still has the newest; without one, nobody wrote a message with this push.
    let head = payload.commits.iter().find(|one| one.id == *commit).or(payload.commits.last());
    if head.is_some_and(skips) {
        return Err("its commit says `[skip ci]`".to_owned());
    }
    let wanted = wanted(branch, commit, None, None)?;
    Ok(asked(payload, wanted, "push", &head.map(first_line).unwrap_or_default()))
}

fn tag(payload: &Payload, application: &Application) -> Result<Asked, String> {
    let tag = payload.reference.strip_prefix("refs/tags/").ok_or("its reference is no tag")?;
    if is_nothing(&payload.after) {
        return Err("the tag was deleted".to_owned());
    }
    if !application.rules.tag(tag) {
        return Err(format!("the tag `{}` is not among `rules.tags`", shown(tag)));
    }
    // Of an annotated tag, `after` is the tag's own object. A commit that says `[skip ci]` is often the one that a
    // release is made of, so the message does not count here.
    let commit = payload.checkout_sha.as_ref().unwrap_or(&payload.after);
    let wanted = wanted(tag, commit, Some(tag), None)?;
    Ok(asked(payload, wanted, "tag", &payload.commits.last().map(first_line).unwrap_or_default()))
}

fn merge_request(payload: &Payload, application: &Application) -> Result<Asked, String> {
    let request = &payload.object_attributes;
    let trusted = application.rules.merge_request(request.source_project_id != request.target_project_id)?;
    let is_ready = payload.changes.draft.as_ref().is_some_and(|draft| draft.current == Some(false));
    match request.action.as_str() {
        "open" | "reopen" => {}
        "update" if request.oldrev.is_some() || is_ready => {}
        "update" => return Err("the update brought no commits".to_owned()),
        action => return Err(format!("the action `{}` builds nothing", shown(action))),
    }
    if request.draft || request.work_in_progress {
        return Err("it is a draft; it is built when it is ready".to_owned());
    }
    let commit = request.last_commit.as_ref().ok_or("it has no commit")?;
    if skips(commit) {
        return Err("its commit says `[skip ci]`".to_owned());
    }
    let revision = format!("refs/merge-requests/{}/head", request.iid);
    let wanted = Wanted { untrusted: !trusted, ..wanted(&revision, &commit.id, None, Some(request.iid))? };
    let mut asked = asked(payload, wanted, "merge_request", &format!("!{} {}", request.iid, request.title));
    asked.place = Place {
        project: request.source_project_id,
        merge_request: Some((request.target_project_id, request.iid)),
        ..Place::default()
    };
    Ok(asked)
}

fn asked(payload: &Payload, wanted: Wanted, cause: &'static str, title: &str) -> Asked {
    let place = Place { project: payload.project.id, ..Place::default() };
    Asked { wanted, cause, title: title.chars().take(200).collect(), place }
}

fn wanted(revision: &str, commit: &str, tag: Option<&str>, merge_request: Option<u64>) -> Result<Wanted, String> {
    let revision: Revision = revision.parse().map_err(|error| format!("{error}"))?;
    let commit: CommitSha = commit.parse().map_err(|error| format!("{error}"))?;
    Ok(Wanted {
        revision: Some(revision),
        commit: Some(commit),
        tag: tag.map(str::to_owned),
        merge_request,
        untrusted: false,
    })
}

/// All zeros stand for nothing: 40 of them, or 64 where hashes are SHA-256.
fn is_nothing(commit: &str) -> bool {
    commit.is_empty() || commit.bytes().all(|byte| byte == b'0')
}

/// `[skip ci]` or `[ci skip]`, in any capitalisation, as GitLab itself reads it.
pub(super) fn skips(commit: &Commit) -> bool {
    let message = commit.message.to_lowercase();
    message.contains("[skip ci]") || message.contains("[ci skip]")
}

fn first_line(commit: &Commit) -> String {
    commit.message.lines().next().unwrap_or_default().to_owned()
}

/// What others wrote may be long.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const COMMIT: &str = "da1560886d4f094c3e6c9ef40349f7d38b5d27d7";
    const BEFORE: &str = "95790bf891e76fee5e1747ab589903a6a1f80f22";

    fn application() -> Application {
        let text = r#"{ "product_line": "trade", "name": "order", "repository": "https://gitlab.example.com/trade/order.git" }"#;
        Application::parse(text.as_bytes()).unwrap()
    }

    fn of(differs: &[(&str, Value)], base: Value) -> Result<Asked, String> {
        decide(&differing(differs, base), &application())
    }

    fn differing(differs: &[(&str, Value)], base: Value) -> Payload {
        let mut value = base;
        for (pointer, new) in differs {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            value.pointer_mut(parent).unwrap()[key] = new.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    fn push() -> Value {
        json!({
            "object_kind": "push", "before": BEFORE, "after": COMMIT, "ref": "refs/heads/main", "checkout_sha": COMMIT,
            "project": { "id": 15 }, "commits": [{ "id": COMMIT, "message": "fix it\n\nreally" }]
        })
    }

    fn merge_request() -> Value {
        json!({
            "object_kind": "merge_request", "project": { "id": 15 }, "changes": {},
            "object_attributes": {
                "iid": 7, "title": "a change", "action": "open", "source_project_id": 15, "target_project_id": 15,
                "last_commit": { "id": COMMIT, "message": "fix" }, "draft": false
            }
        })
    }

    #[test]
    fn pushes_follow_the_rules() {
        let asked = of(&[], push()).unwrap();
        assert_eq!((asked.cause, asked.title.as_str(), asked.place.project), ("push", "fix it", 15));
        assert_eq!(asked.wanted.commit.unwrap().as_str(), COMMIT);
        for (differs, reason) in [
            (("/after", json!("0".repeat(40))), "deleted"),
            (("/after", json!("0".repeat(64))), "deleted"),
            (("/after", json!(BEFORE)), "nothing was pushed"),
            (("/ref", json!("refs/heads/feature/x")), "not among"),
            (("/ref", json!("refs/notes/x")), "no branch"),
            (("/ref", json!("refs/heads/a..b")), "not among"),
            (("/checkout_sha", json!("--upload-pack")), "commit"),
            (("/object_kind", json!("note")), "`note`"),
            (("/commits", json!([{ "id": COMMIT, "message": "wip [Skip CI]" }])), "[skip ci]"),
        ] {
            let refused = of(std::slice::from_ref(&differs), push()).unwrap_err();
            assert!(refused.contains(reason), "{differs:?}: {refused}");
        }
        // A branch that is new and brings no commits.
        assert!(of(&[("/before", json!("0".repeat(40))), ("/commits", json!([]))], push()).is_ok());
    }

    #[test]
    fn annotated_tags_are_built_from_the_commit_they_point_to() {
        let tag = [
            ("/object_kind", json!("tag_push")),
            ("/ref", json!("refs/tags/v1.4.2")),
            ("/after", json!(BEFORE)),
            ("/commits", json!([{ "id": COMMIT, "message": "release [skip ci]" }])),
        ];
        let asked = of(&tag, push()).unwrap();
        assert_eq!((asked.wanted.commit.unwrap().as_str(), asked.wanted.tag.as_deref()), (COMMIT, Some("v1.4.2")));
        let gone = of(&[tag[0].clone(), tag[1].clone(), ("/after", json!("0".repeat(40)))], push());
        assert!(gone.unwrap_err().contains("deleted"));
    }

    #[test]
    fn merge_requests_follow_the_rules() {
        let asked = of(&[], merge_request()).unwrap();
        assert_eq!(asked.wanted.revision.unwrap().as_str(), "refs/merge-requests/7/head");
        assert_eq!(asked.place.merge_request, Some((15, 7)));
        let at = |key: &str, value: Value| (format!("/object_attributes/{key}"), value);
        for (differs, reason) in [
            (vec![at("action", json!("update"))], "no commits"),
            (vec![at("action", json!("approved"))], "builds nothing"),
            (vec![at("action", json!("merge"))], "builds nothing"),
            (vec![at("draft", json!(true))], "draft"),
            (vec![at("work_in_progress", json!(true))], "draft"),
            (vec![at("last_commit", json!(null))], "no commit"),
        ] {
            let differs: Vec<_> = differs.iter().map(|(pointer, value)| (pointer.as_str(), value.clone())).collect();
            let refused = of(&differs, merge_request()).unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
        let fork = [("/object_attributes/source_project_id", json!(99))];
        for (forks, expected) in [
            ("untrusted", Ok(true)),
            ("trusted", Ok(false)),
            ("never", Err("it comes from a fork, and `rules.forks` is `never`")),
        ] {
            let mut own = application();
            own.rules.forks = serde_json::from_value(json!(forks)).unwrap();
            let asked = decide(&differing(&fork, merge_request()), &own);
            let untrusted = asked.as_ref().map(|asked| asked.wanted.untrusted).map_err(String::as_str);
            assert_eq!(untrusted, expected, "{forks}");
            // The status is for the commit of the fork, the comment for the merge request.
            let place = asked.ok().map(|asked| (asked.place.project, asked.place.merge_request));
            assert!(place.is_none_or(|place| place == (99, Some((15, 7)))), "{place:?}");
        }
        assert!(!of(&[], merge_request()).unwrap().wanted.untrusted);
        let update = ("/object_attributes/action", json!("update"));
        assert!(of(&[update.clone(), ("/object_attributes/oldrev", json!(BEFORE))], merge_request()).is_ok());
        assert!(of(&[update, ("/changes/draft", json!({ "current": false }))], merge_request()).is_ok());
    }
}
