//! What is known before a build.

use std::time::Instant;

use slipway::harbor::{Client, NewProject, Preflight, Wanted};
use slipway::http;
use slipway::model::failure::FailureCode as Code;
use slipway::secrets::Account;

use super::refused::release_rule;
use super::ways::build;
use crate::support::harbor::Harbor;

pub(super) fn client(harbor: &Harbor, (username, password): &(String, String)) -> Client {
    let account = Account { username: username.clone(), password: password.clone() };
    Client::new(http::client(None, None).unwrap(), &harbor.url(""), Some(account))
}

async fn look(harbor: &Harbor, account: &(String, String), project: &str, tags: &[&str]) -> Preflight {
    let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
    let wanted = Wanted { project, name: "order", tags: &tags, commit: Some("c0ffee") };
    client(harbor, account).preflight(wanted).await.unwrap()
}

fn codes(found: &Preflight) -> Vec<Code> {
    found.failures.iter().map(|failure| failure.code).collect()
}

pub(super) const READER: &[&str] = &["repository:push", "project:read", "quota:read", "artifact:list", "artifact:read"];

#[tokio::test(flavor = "multi_thread")]
async fn accounts_projects_and_maintenance_are_known() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let good = harbor.robot("trade", "push", &["repository:push"]);
    let reader = harbor.robot("trade", "pull", &["repository:pull"]);
    let wrong = (good.0.clone(), "Wrong12345".to_owned());
    assert_eq!(codes(&look(&harbor, &good, "trade", &["1"]).await), []);
    assert_eq!(codes(&look(&harbor, &wrong, "trade", &["1"]).await), [Code::RegistryUnauthorized]);
    assert_eq!(codes(&look(&harbor, &reader, "trade", &["1"]).await), [Code::RegistryForbidden]);
    let missing = look(&harbor, &good, "nosuch", &["1"]).await;
    assert!(missing.project_missing && missing.failures.is_empty(), "{missing:?}");
    harbor.state().read_only = true;
    assert_eq!(codes(&look(&harbor, &good, "trade", &["1"]).await), [Code::RegistryReadOnly]);
    harbor.state().read_only = false;
    harbor.state().faults.database = true;
    assert_eq!(codes(&look(&harbor, &good, "trade", &["1"]).await), [Code::RegistryUnavailable]);
}

#[tokio::test(flavor = "multi_thread")]
async fn room_and_fixed_tags_are_known_to_whom_harbor_tells_them() {
    let harbor = Harbor::start();
    harbor.project("trade");
    harbor.state().projects.get_mut("trade").unwrap().immutable.push(release_rule());
    let robot = harbor.robot("trade", "push", READER);
    let image = build("assembler", 50_000).await;
    image.push(&harbor, &robot, &["trade/order:rel-1", "trade/order:latest"]).await.unwrap();
    let found = look(&harbor, &robot, "trade", &["rel-1", "latest"]).await;
    assert_eq!(codes(&found), [Code::RegistryTagImmutable]);
    assert!(found.failures[0].message.contains("`rel-1`"), "{}", found.failures[0]);
    assert_eq!(found.left, None);
    let used = {
        let mut state = harbor.state();
        let project = state.projects.get_mut("trade").unwrap();
        project.limit = Some(project.used() + 10_000);
        project.used()
    };
    let found = look(&harbor, &robot, "trade", &["2"]).await;
    assert_eq!((found.left, codes(&found)), (Some(10_000), vec![]));
    assert!(found.last.is_some_and(|last| last >= 50_000 && last <= used), "{found:?}");
    harbor.state().projects.get_mut("trade").unwrap().limit = Some(used);
    assert_eq!(codes(&look(&harbor, &robot, "trade", &["2"]).await), [Code::RegistryQuotaExceeded]);
    // A robot that only pushes is told less, and that is no finding.
    let bare = harbor.robot("trade", "bare", &["repository:push"]);
    assert_eq!(codes(&look(&harbor, &bare, "trade", &["2"]).await), []);
}

/// The first image of an application has nothing that its size could be guessed from; one that is there takes no room.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_project_takes_no_first_image_and_what_it_has_again() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "push", READER);
    harbor.state().projects.get_mut("trade").unwrap().limit = Some(0);
    let found = look(&harbor, &robot, "trade", &["1"]).await;
    assert_eq!((codes(&found), found.last), (vec![Code::RegistryQuotaExceeded], None));
    assert!(found.failures[0].message.contains("no room in the project `trade`"), "{}", found.failures[0]);
    // Who cannot see what is there cannot know that it is not.
    let blind = harbor.robot("trade", "blind", &["repository:push", "project:read", "quota:read"]);
    let found = look(&harbor, &blind, "trade", &["1"]).await;
    assert_eq!((codes(&found), found.left), (vec![], Some(0)));

    harbor.state().projects.get_mut("trade").unwrap().limit = None;
    build("assembler", 64).await.push(&harbor, &robot, &["trade/order:1"]).await.unwrap();
    {
        let mut state = harbor.state();
        let project = state.projects.get_mut("trade").unwrap();
        project.limit = Some(project.used());
        for artifact in project.repositories.get_mut("order").unwrap().artifacts.values_mut() {
            artifact.config["config"]["Labels"] = serde_json::json!({ "org.opencontainers.image.revision": "c0ffee" });
        }
    }
    assert_eq!(codes(&look(&harbor, &robot, "trade", &["2"]).await), [], "it is there, of this commit");
}

/// Tags are looked at also where the room may not be seen.
#[tokio::test(flavor = "multi_thread")]
async fn fixed_tags_are_known_without_the_quota() {
    let harbor = Harbor::start();
    harbor.project("trade");
    harbor.state().projects.get_mut("trade").unwrap().immutable.push(release_rule());
    let robot = harbor.robot("trade", "push", &["repository:push", "artifact:list", "artifact:read"]);
    build("assembler", 5000).await.push(&harbor, &robot, &["trade/order:rel-1"]).await.unwrap();
    let found = look(&harbor, &robot, "trade", &["rel-1"]).await;
    assert_eq!((codes(&found), found.left), (vec![Code::RegistryTagImmutable], None));
    assert!(found.last.is_some_and(|last| last > 5000), "{found:?}");
}

/// Nobody pushes without an account, and Harbor's token service gives one to everybody.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_so_and_not_of_a_password() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let nobody = Client::new(http::client(None, None).unwrap(), &harbor.url(""), None);
    let wanted = Wanted { project: "trade", name: "order", tags: &[], commit: None };
    let found = nobody.preflight(wanted).await.unwrap();
    assert_eq!(codes(&found), [Code::RegistryUnauthorized]);
    assert!(found.failures[0].message.contains("there is none for it"), "{}", found.failures[0]);
    assert!(found.failures[0].hint.contains("registry.credentials"), "{}", found.failures[0].hint);
    harbor.state().faults.database = true;
    assert_eq!(nobody.preflight(wanted).await, None, "it may be any registry");
}

/// A registry that does not answer is not one that is no Harbor.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_no_answer() {
    let harbor = Harbor::start();
    let admin = crate::support::harbor::ADMIN;
    let client = client(&harbor, &(admin.0.to_owned(), admin.1.to_owned()));
    assert!(client.is_harbor().await.unwrap());
    harbor.state().faults.core = true;
    assert_eq!(client.is_harbor().await.unwrap_err().code, Code::RegistryUnavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_five_requests() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "push", READER);
    let image = build("assembler", 1000).await;
    image.push(&harbor, &robot, &["trade/order:1"]).await.unwrap();
    let client = client(&harbor, &robot).for_request("0198a3c2");
    harbor.requests();
    let tags = ["1.4.2".to_owned(), "latest".to_owned()];
    let wanted = Wanted { project: "trade", name: "order", tags: &tags, commit: None };
    let mut times = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        client.preflight(wanted).await.unwrap();
        times.push(started.elapsed());
        assert!(harbor.state().requests.iter().all(|(_, id)| id.as_deref() == Some("0198a3c2")));
        let requests = harbor.requests();
        assert!(requests.len() <= 5, "{requests:#?}");
    }
    // What it takes depends on what else the machine does; it is to be 30 ms at most where that is nothing.
    eprintln!("pre-flight: {:?} of {times:?}", times.iter().min().unwrap());
}

/// Debian's docker-registry has no `/api`: one request, and nothing is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_no_harbor_is_left_alone() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(async || axum::http::StatusCode::NOT_FOUND);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = Client::new(http::client(None, None).unwrap(), &base, None);
    let wanted = Wanted { project: "trade", name: "order", tags: &[], commit: None };
    assert_eq!(client.preflight(wanted).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_are_made_by_whom_may_and_by_eight_at_once() {
    let harbor = Harbor::start();
    harbor.project("trade");
    harbor.state().admin_only = true;
    let maker = harbor.system_robot("slipway", &["repository:push"], &["project:create"]);
    let client = client(&harbor, &maker);
    let new = NewProject {
        name: "fresh".into(),
        metadata: [("auto_scan".into(), "true".into())].into(),
        ..NewProject::default()
    };
    let made = futures_util::future::join_all((0..8).map(|_| client.create_project(&new))).await;
    assert_eq!(made.into_iter().filter(|made| *made.as_ref().unwrap()).count(), 1);
    assert_eq!(harbor.state().projects["fresh"].metadata["auto_scan"], "true");
    // A token from before would have no rights; the next one has.
    assert!(client.rights("fresh/order").await.unwrap().include("push"));
    let other = harbor.robot("trade", "push", &["repository:push"]);
    let failure = self::client(&harbor, &other).create_project(&new).await.unwrap_err();
    assert_eq!(failure.code, Code::RegistryForbidden);
    assert!(
        failure.message.contains("Only system level robot") && failure.hint.contains("project:create"),
        "{failure:?}"
    );
}
