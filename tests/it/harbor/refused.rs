//! Refusals of a push, by both ways; the numbers are those of the table in `docs/harbor.md`.

use serde_json::json;
use slipway::model::failure::FailureCode as Code;

use super::ways::{Built, both, build};
use crate::support::harbor::state::Faults;
use crate::support::harbor::{ADMIN, Harbor};

fn admin() -> (String, String) {
    (ADMIN.0.to_owned(), ADMIN.1.to_owned())
}

/// A rule that fixes tags that begin with `rel-`.
pub(super) fn release_rule() -> serde_json::Value {
    json!({
        "disabled": false, "action": "immutable", "template": "immutable_template",
        "scope_selectors": { "repository": [{ "kind": "doublestar", "decoration": "repoMatches", "pattern": "**" }] },
        "tag_selectors": [{ "kind": "doublestar", "decoration": "matches", "pattern": "rel-*" }],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_are_not_let_in_or_may_not_push() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let good = harbor.robot("trade", "push", &["repository:push"]);
    let reader = harbor.robot("trade", "pull", &["repository:pull"]);
    let disabled = harbor.robot("trade", "dis", &["repository:push"]);
    let expired = harbor.robot("trade", "exp", &["repository:push"]);
    {
        let mut state = harbor.state();
        state.robots.iter_mut().find(|robot| robot.name == "trade+dis").unwrap().disabled = true;
        state.robots.iter_mut().find(|robot| robot.name == "trade+exp").unwrap().expired = true;
    }
    let wrong = (good.0.clone(), "Wrong12345".to_owned());
    let nobody = ("robot$trade+nobody".to_owned(), "Wrong12345".to_owned());
    let bare = ("trade+push".to_owned(), good.1.clone());
    let escaped = (good.0.replace('$', "%24"), good.1.clone());
    for image in both(64).await {
        for (account, name, code) in [
            (&wrong, "trade/order:1", Code::RegistryUnauthorized),
            (&disabled, "trade/order:1", Code::RegistryUnauthorized),
            (&expired, "trade/order:1", Code::RegistryUnauthorized),
            (&nobody, "trade/order:1", Code::RegistryUnauthorized),
            (&bare, "trade/order:1", Code::RegistryUnauthorized),
            (&escaped, "trade/order:1", Code::RegistryUnauthorized),
            (&reader, "trade/order:1", Code::RegistryForbidden),
            (&good, "library/order:1", Code::RegistryForbidden),
            (&good, "nosuch/order:1", Code::RegistryRepositoryMissing),
        ] {
            let failure = image.push(&harbor, account, &[name]).await.unwrap_err();
            assert_eq!(failure.code, code, "{}, {} as {}: {failure}", image.way, name, account.0);
            assert!(!failure.message.contains(&account.1), "{failure}");
        }
        image.push(&harbor, &good, &["trade/order:1"]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_project_a_mirror_and_maintenance_are_told_apart() {
    let harbor = Harbor::start();
    for project in ["quo", "pcache", "trade"] {
        harbor.project(project);
    }
    {
        let mut state = harbor.state();
        state.projects.get_mut("quo").unwrap().limit = Some(100_000);
        state.projects.get_mut("pcache").unwrap().proxy = true;
    }
    let robot = harbor.system_robot("slipway", &["repository:push", "project:read", "quota:read"], &[]);
    for image in both(150_000).await {
        harbor.state().faults.refusals_break = false;
        let failure = image.push(&harbor, &robot, &["quo/app:1"]).await.unwrap_err();
        assert_eq!(failure.code, Code::RegistryQuotaExceeded, "{}: {failure}", image.way);
        assert!(failure.message.contains("97.7 KiB") && !failure.retryable, "{failure}");
        let failure = image.push(&harbor, &robot, &["pcache/app:1"]).await.unwrap_err();
        assert_eq!(failure.code, Code::RegistryProxyProject, "{}: {failure}", image.way);
        harbor.state().read_only = true;
        let failure = image.push(&harbor, &robot, &["trade/app:1"]).await.unwrap_err();
        assert_eq!(failure.code, Code::RegistryReadOnly, "{}: {failure}", image.way);
        assert!(failure.retryable, "{failure}");
        harbor.state().read_only = false;
    }
}

/// What is broken, and how.
async fn outages(image: &Built) {
    let mut harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "push", &["repository:push"]);
    for (part, fault) in [
        ("database", Faults { database: true, ..Faults::default() }),
        ("core", Faults { core: true, ..Faults::default() }),
        ("disk", Faults { disk_full: true, ..Faults::default() }),
        ("registry", Faults::default()),
    ] {
        harbor.state().faults = fault;
        if part == "registry" {
            harbor.lose_registry();
        }
        let failure = image.push(&harbor, &robot, &["trade/order:1"]).await.unwrap_err();
        assert_eq!(failure.code, Code::RegistryUnavailable, "{part}, {}: {failure}", image.way);
        assert!(failure.retryable, "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_not_taken_for_a_wrong_password() {
    outages(&build("assembler", 64).await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: the Engine tries for a minute by itself before it says that a registry is away"]
async fn nor_where_the_engine_pushes() {
    outages(&build("docker", 64).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_tag_takes_its_own_image_again_and_no_other() {
    let harbor = Harbor::start();
    harbor.project("trade");
    harbor.state().projects.get_mut("trade").unwrap().immutable.push(release_rule());
    let robot = harbor.robot("trade", "push", &["repository:push"]);
    for (image, other) in both(64).await.into_iter().zip(both(64).await) {
        let name = format!("trade/{}:rel-1", image.way);
        let first = image.push(&harbor, &robot, &[&name]).await.unwrap();
        let again = image.push(&harbor, &robot, &[&name]).await.unwrap();
        assert_eq!(first.digest, again.digest, "{}", image.way);
        let failure = other.push(&harbor, &robot, &[&name]).await.unwrap_err();
        assert_eq!(failure.code, Code::RegistryTagImmutable, "{}: {failure}", image.way);
        assert!(failure.message.contains("rel-1"), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_hides_the_image_does_not_undo_its_push() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "push", &["repository:push"]);
    for (gate, image) in ["prevent_vul", "enable_content_trust_cosign"].into_iter().zip(both(64).await) {
        {
            let mut state = harbor.state();
            let project = state.projects.get_mut("trade").unwrap();
            project.metadata.clear();
            project.metadata.insert(gate.to_owned(), "true".to_owned());
        }
        let name = format!("trade/{}:1", image.way);
        let pushed = image.push(&harbor, &robot, &[&name]).await.unwrap();
        let state = harbor.state();
        let tags = &state.repository(name.split(':').next().unwrap()).unwrap().tags;
        assert_eq!(tags["1"], pushed.digest.to_string(), "{}", image.way);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_does_not_turn_a_refusal_into_success() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "push", &["repository:push"]);
    for (image, other) in both(64).await.into_iter().zip(both(64).await) {
        let name = format!("trade/{}:rel-1", image.way);
        image.push(&harbor, &robot, &[&name]).await.unwrap();
        {
            let mut state = harbor.state();
            let project = state.projects.get_mut("trade").unwrap();
            project.immutable = vec![release_rule()];
            project.metadata.insert("prevent_vul".to_owned(), "true".to_owned());
        }
        let failure = other.push(&harbor, &robot, &[&name]).await.unwrap_err();
        assert_eq!(failure.code, Code::RegistryTagImmutable, "{}: {failure}", image.way);
        harbor.state().projects.get_mut("trade").unwrap().metadata.clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_administrator_pushes_too() {
    let harbor = Harbor::start();
    for image in both(64).await {
        image.push(&harbor, &admin(), &[&format!("library/{}:1", image.way)]).await.unwrap();
    }
}
