//! The Git server refuses, loses, stalls or lures.

use std::time::Duration;

use serde_json::Value;

use super::case::{Case, Extra, case};
use super::proxy::{Fault, Rule};
use crate::services::run;

const SCRIPT: &str = "cp payload /output/";

async fn report_of(case: &mut Case, repository: &str, commit: &str) -> Value {
    let request = case.request(repository, commit);
    let id = case.send(&request, Extra::Forbidden).await;
    case.report(&id).await
}

fn code(report: &Value) -> &str {
    report["failure"]["code"].as_str().unwrap_or_default()
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_source_is_refused_or_missing() {
    case("no-source", 90, async |case| {
        let commit = "0123456789012345678901234567890123456789";
        let locked = report_of(case, "locked/order", commit).await;
        assert_eq!(code(&locked), "source_unauthorized", "{locked:#}");
        let missing = report_of(case, "nowhere", commit).await;
        assert_eq!(code(&missing), "source_not_found", "{missing:#}");
        assert_eq!(missing["failure"]["blame"], "request");
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_commit_is_gone() {
    case("forced", 91, async |case| {
        let (repository, _) = case.repository(SCRIPT);
        let gone = "0123456789012345678901234567890123456789";
        let report = report_of(case, &repository, gone).await;
        assert_eq!(code(&report), "revision_not_found", "{report:#}");
        // The branch was there when the request was sent.
        let (repository, commit) = case.repository(SCRIPT);
        let path = case.git.path(&repository);
        run(&path, &["git", "update-ref", "-d", "refs/heads/main"]);
        run(&path, &["git", "reflog", "expire", "--expire=now", "--all"]);
        run(&path, &["git", "gc", "--quiet", "--prune=now"]);
        let report = report_of(case, &repository, &commit).await;
        assert_eq!(code(&report), "revision_not_found", "{report:#}");
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_git_server_stalls() {
    case("stalled", 92, async |case| {
        let rule = Rule::always(&["git-upload-pack"], Fault::Late(Duration::from_secs(10))).times(0, 1);
        case.git_proxy.add(rule);
        let id = case.build(SCRIPT, Extra::Forbidden).await;
        assert_eq!(case.report(&id).await["outcome"], "succeeded");
        assert_eq!(case.git_proxy.clear(), 1);
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_git_server_is_unwell() {
    case("git-unwell", 93, async |case| {
        case.git_proxy.add(Rule::always(&[], Fault::Answer(502, "")).during(Duration::from_secs(5)));
        let id = case.build(SCRIPT, Extra::Forbidden).await;
        assert_eq!(case.report(&id).await["outcome"], "succeeded");
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_submodule_points_into_the_machine() {
    case("submodule", 94, async |case| {
        let modules = "[submodule \"inside\"]\n\tpath = inside\n\turl = file:///etc\n";
        let name = "submodule-inside";
        let work = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| run(work.path(), &[&["git"], arguments].concat());
        git(&["init", "--quiet", "--initial-branch", "main"]);
        std::fs::write(work.path().join("build.sh"), SCRIPT).unwrap();
        std::fs::write(work.path().join(".gitmodules"), modules).unwrap();
        git(&["add", "--all"]);
        git(&["update-index", "--add", "--cacheinfo", "160000,0123456789012345678901234567890123456789,inside"]);
        git(&["commit", "--quiet", "--message", "one"]);
        case.git.push(work.path(), name);
        let commit = git(&["rev-parse", "HEAD"]);
        let report = report_of(case, name, &commit).await;
        assert_eq!(code(&report), "source_forbidden", "{report:#}");
    });
}
