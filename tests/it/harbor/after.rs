//! After a push: labels, further tags, scans. What was not scanned is never clean.

use std::time::Duration;

use slipway::harbor::{ArtifactName, Client, Done};
use slipway::model::failure::FailureCode as Code;
use slipway::model::scan::{Day, Exception, ReportedScan, Rules, ScanState, Severity};

use super::before::client;
use super::builds::{config, push};
use super::cases::at_first;
use super::ways::build;
use crate::support::harbor::Harbor;
use crate::support::harbor::state::{Instead, Scanned};
use crate::support::slipway::PRODUCT_LINE;

pub(super) const SCANNER: &[&str] = &["repository:push", "artifact:read", "artifact-addition:read", "scan:create"];
const MARKER: &[&str] = &[
    "repository:push",
    "project:read",
    "artifact:read",
    "tag:create",
    "label:list",
    "label:create",
    "artifact-label:create",
];

/// Pushes an image of a few bytes; gives its digest.
async fn pushed(harbor: &Harbor, robot: &(String, String), name: &str) -> String {
    build("assembler", 64).await.push(harbor, robot, &[&format!("trade/{name}:1")]).await.unwrap().digest.to_string()
}

fn artifact<'a>(name: &'a str, reference: &'a str) -> ArtifactName<'a> {
    ArtifactName { project: "trade", name, reference }
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_tags_are_set_where_the_robot_may() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "mark", MARKER);
    let (first, second) = (pushed(&harbor, &robot, "order").await, pushed(&harbor, &robot, "order").await);
    let client = client(&harbor, &robot);
    let image = artifact("order", &first);
    assert_eq!(client.label(image, "branch/main").await.unwrap(), Done::Yes);
    assert_eq!(client.label(image, "branch/main").await.unwrap(), Done::Already);
    assert_eq!(client.tag(image, "build-1").await.unwrap(), Done::Yes);
    assert_eq!(client.tag(image, "build-1").await.unwrap(), Done::Already);
    assert_eq!(client.tag(artifact("order", &second), "build-1").await.unwrap(), Done::Elsewhere);
    {
        let state = harbor.state();
        let repository = state.repository("trade/order").unwrap();
        assert_eq!(repository.tags["build-1"], first);
        assert_eq!(repository.artifacts[&first].labels.len(), 1);
    }
    let bare = self::client(&harbor, &harbor.robot("trade", "bare", &["repository:push"]));
    assert_eq!(bare.label(image, "branch/main").await.unwrap(), Done::Forbidden);
    assert_eq!(bare.tag(image, "build-2").await.unwrap(), Done::Forbidden);
}

/// Eight builds want the same label at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_label_is_made_once() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "mark", MARKER);
    let digest = pushed(&harbor, &robot, "order").await;
    let client = client(&harbor, &robot);
    let all = (0..8).map(|_| client.label(artifact("order", &digest), "application/order"));
    for done in futures_util::future::join_all(all).await {
        assert!([Done::Yes, Done::Already].contains(&done.unwrap()));
    }
    assert_eq!(harbor.state().labels.len(), 1);
}

async fn scanned(client: &Client, name: &str, digest: &str, rules: Rules<'_>) -> ReportedScan {
    client.scanned(artifact(name, digest), Duration::from_secs(2), rules).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn scans_are_started_awaited_and_judged() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "scan", SCANNER);
    {
        let mut state = harbor.state();
        let found = [("CVE-2024-1", "Critical"), ("CVE-2024-2", "Low")];
        let found = found.map(|(id, severity)| (id.to_owned(), severity.to_owned())).to_vec();
        state.findings.insert("trade/crit".to_owned(), Scanned::Found(found));
        state.findings.insert("trade/fail".to_owned(), Scanned::Failed);
        state.findings.insert("trade/slow".to_owned(), Scanned::Running);
    }
    let client = client(&harbor, &robot);
    let rules = Rules { limit: Some(Severity::High), exceptions: &[], product_line: "trade", today: "2026-11-21" };
    let clean = scanned(&client, "clean", &pushed(&harbor, &robot, "clean").await, rules).await;
    assert_eq!((clean.state, clean.severity), (ScanState::Scanned, Some(Severity::None)), "{clean:?}");
    assert_eq!(clean.scanner.as_deref(), Some("LabScan 0.1"));

    let digest = pushed(&harbor, &robot, "crit").await;
    let crit = scanned(&client, "crit", &digest, rules).await;
    assert_eq!((crit.severity, crit.counts.len()), (Some(Severity::Critical), 2), "{crit:?}");
    assert_eq!(crit.refused.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["CVE-2024-1"]);
    let until = |day: &str| Day::try_from(day.to_owned()).unwrap();
    let exception = |day: &str| {
        let product_lines = vec!["*".to_owned()];
        [Exception { cve: "CVE-2024-1".into(), until: until(day), reason: "not reachable".into(), product_lines }]
    };
    let (valid, over) = (exception("2026-11-21"), exception("2026-11-20"));
    let accepted = scanned(&client, "crit", &digest, Rules { exceptions: &valid, ..rules }).await;
    assert!(accepted.refused.is_empty() && accepted.accepted == ["CVE-2024-1"], "{accepted:?}");
    assert_eq!(scanned(&client, "crit", &digest, Rules { exceptions: &over, ..rules }).await.refused.len(), 1);

    for (name, state) in [("fail", ScanState::Failed), ("slow", ScanState::Unfinished)] {
        let scan = scanned(&client, name, &pushed(&harbor, &robot, name).await, rules).await;
        assert_eq!((scan.state, scan.severity), (state, None), "{name}: {scan:?}");
    }
}

/// A scan that failed or was stopped is asked for once more: the scanner may be back.
#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_failed_is_asked_for_once_anew() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "scan", SCANNER);
    let client = client(&harbor, &robot);
    let rules = Rules { limit: None, exceptions: &[], product_line: "trade", today: "2026-11-21" };
    let asked = |harbor: &Harbor| harbor.requests().iter().filter(|line| line.ends_with("/scan")).count();
    let digest = pushed(&harbor, &robot, "order").await;
    harbor.state().findings.insert("trade/order".to_owned(), Scanned::Failed);
    harbor.requests();
    assert_eq!(scanned(&client, "order", &digest, rules).await.state, ScanState::Failed);
    assert_eq!(asked(&harbor), 2);

    // The same image later: what is known of it is the failure, and the scanner is back.
    at_first(&harbor, &["POST", "/scan"], |state| {
        state.findings.remove("trade/order");
        None
    });
    let scan = scanned(&client, "order", &digest, rules).await;
    assert_eq!((scan.state, scan.severity), (ScanState::Scanned, Some(Severity::None)), "{scan:?}");
    assert_eq!(asked(&harbor), 1);
}

/// Minutes are waited for a scan, so a moment without an answer ends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_moments_outage_ends_no_wait_for_a_scan() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "scan", SCANNER);
    let digest = pushed(&harbor, &robot, "order").await;
    let mut left = 2;
    harbor.state().when = Some(Box::new(move |_, line, _| {
        let looks = line.contains("with_scan_overview") && left > 0;
        left -= i32::from(looks);
        looks.then_some(Instead::Page(502))
    }));
    let rules = Rules { limit: None, exceptions: &[], product_line: "trade", today: "2026-11-21" };
    let scan = client(&harbor, &robot).scanned(artifact("order", &digest), Duration::from_secs(20), rules).await;
    assert_eq!(scan.unwrap().state, ScanState::Scanned);
}

/// A Harbor that is away after the push is not taken for a registry that has no labels and no scanner.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_after_the_push_is_said() {
    let harbor = Harbor::start();
    harbor.project(PRODUCT_LINE);
    let rights: Vec<&str> = SCANNER.iter().chain(MARKER).copied().collect();
    let robot = harbor.robot(PRODUCT_LINE, "all", &rights);
    let slipway = config(&harbor, &robot, "[build]\nimage_backend = \"assembler\"\n");
    let text = std::fs::read_to_string(slipway.config()).unwrap();
    for wanted in ["labels = [\"application\"]", "scan = { wait = \"10s\" }"] {
        slipway.replace_config(&text.replacen("[registry]", &format!("[registry]\n{wanted}"), 1));
        let mut there = false;
        harbor.state().when = Some(Box::new(move |_, line, _| {
            there |= line.starts_with("PUT") && line.contains("/manifests/");
            (there && line.contains("/systeminfo")).then_some(Instead::Page(502))
        }));
        let tag = wanted.len().to_string();
        let run = push(&slipway, &tag).await;
        assert_eq!(run.failure_code(), "registry_unavailable", "{wanted}: {}", run.text());
        assert_eq!((run.code, &run.failure()["retryable"]), (75, &true.into()), "{wanted}: {}", run.text());
        assert!(harbor.state().repository(&format!("{PRODUCT_LINE}/order")).unwrap().tags.contains_key(&tag));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_scanned_is_not_clean() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "scan", SCANNER);
    let rules = Rules { limit: None, exceptions: &[], product_line: "trade", today: "2026-11-21" };
    let digest = pushed(&harbor, &robot, "order").await;
    for (account, why) in [
        (harbor.robot("trade", "bare", &["repository:push"]), "artifact:read"),
        (harbor.robot("trade", "reader", &["repository:push", "artifact:read"]), "scan:create"),
    ] {
        let scan = scanned(&client(&harbor, &account), "order", &digest, rules).await;
        assert_eq!((scan.state, scan.severity), (ScanState::NotScanned, None));
        assert!(scan.why.as_deref().unwrap().contains(why), "{scan:?}");
    }
    harbor.state().scanner = false;
    let scan = scanned(&client(&harbor, &robot), "order", &digest, rules).await;
    assert_eq!(scan.state, ScanState::NotScanned);
    assert!(scan.why.as_deref().unwrap().contains("no scanner"), "{scan:?}");
    harbor.state().scanner = true;
    harbor.state().faults.core = true;
    let failure =
        client(&harbor, &robot).scanned(artifact("order", &digest), Duration::from_secs(1), rules).await.unwrap_err();
    assert_eq!(failure.code, Code::RegistryUnavailable);
}

/// By the program: labels and tags are there, and the gate ends the build with what it found.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_marked_and_its_gate_ends_it() {
    let harbor = Harbor::start();
    harbor.project(PRODUCT_LINE);
    let rights: Vec<&str> = SCANNER.iter().chain(MARKER).copied().collect();
    let robot = harbor.robot(PRODUCT_LINE, "all", &rights);
    let found = vec![("CVE-2024-1".to_owned(), "Critical".to_owned())];
    harbor.state().findings.insert(format!("{PRODUCT_LINE}/order"), Scanned::Found(found));
    let slipway = config(&harbor, &robot, "");
    let text = std::fs::read_to_string(slipway.config()).unwrap();
    let marks = "[registry]\nlabels = [\"product_line\", \"application\"]\ntags = [\"build-{id}\", \"no tag\"]\n\
         scan = { refuse = \"high\", wait = \"10s\" }";
    slipway.replace_config(&text.replacen("[registry]", marks, 1));
    let run = push(&slipway, "1").await;
    assert_eq!(run.failure()["code"], "image_vulnerable", "{}", run.text());
    assert_eq!(run.failure()["step"], "push");
    assert!(run.failure()["message"].as_str().unwrap().contains("CVE-2024-1"), "{}", run.text());
    let image = &run.report["image"];
    assert_eq!((&image["pushed"], &image["scan"]["severity"]), (&true.into(), &"critical".into()), "{}", run.text());
    let warnings = run.report["warnings"].to_string();
    assert!(warnings.contains("registry_tag_left_out") && !warnings.contains("registry_mark_missing"), "{warnings}");
    let state = harbor.state();
    let repository = state.repository(&format!("{PRODUCT_LINE}/order")).unwrap();
    assert_eq!(repository.artifacts[image["digest"].as_str().unwrap()].labels.len(), 2);
    let id = run.report["id"].as_str().unwrap();
    assert!(repository.tags.contains_key(&format!("build-{id}")), "{:?}", repository.tags);
}
