//! The registry answers with errors, breaks off, hangs, fills up or dies.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use serde_json::Value;

use super::case::{Case, Extra, case};
use super::proxy::{Fault, Rule};

const SCRIPT: &str = "cp payload /output/";

/// A build whose push meets a fault, and its report. It is compiled once, whatever the registry does.
async fn pushed_over(case: &mut Case, rule: Rule) -> Value {
    case.registry_proxy.add(rule);
    let id = case.build(SCRIPT, Extra::Forbidden).await;
    let report = case.report(&id).await;
    let met = case.registry_proxy.clear();
    case.say(&format!("{met} requests met the fault; {} {}", report["outcome"], report["failure"]["code"]));
    assert!(met > 0, "the fault was not met: {report:#}");
    report
}

fn compiled(case: &Case, id: &str) -> usize {
    let inbox = case.mailbox.inbox();
    inbox.events[id].iter().filter(|event| event["kind"] == "step_started" && event["step"] == "compile").count()
}

async fn succeeds_over(case: &mut Case, rule: Rule) {
    let report = pushed_over(case, rule).await;
    assert_eq!(report["outcome"], "succeeded", "{report:#}");
    assert_eq!(compiled(case, report["id"].as_str().unwrap()), 1, "only the push is tried again: {report:#}");
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_registry_is_unwell_for_a_while() {
    case("unwell", 30, async |case| {
        let rule = Rule::always(&["/v2/"], Fault::Answer(503, "")).during(Duration::from_secs(15));
        succeeds_over(case, rule).await;
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_registry_breaks_off_in_the_middle_of_a_blob() {
    case("cut", 31, async |case| {
        let bytes = case.random.random_range(0..900_000);
        succeeds_over(case, Rule::always(&["PATCH", "/blobs/uploads/"], Fault::Cut(bytes)).times(0, 1)).await;
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_registry_asks_for_fewer_requests() {
    case("limited", 32, async |case| {
        let fault = Fault::Answer(429, "Retry-After: 2\r\n");
        succeeds_over(case, Rule::always(&["/blobs/uploads/"], fault).times(0, 2)).await;
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_registry_refuses_the_login_in_the_middle() {
    case("refused", 33, async |case| {
        let fault = Fault::Answer(401, "WWW-Authenticate: Basic realm=\"faults\"\r\n");
        // The login works, so it is no wrong password: a Harbor says the same when its database is away.
        succeeds_over(case, Rule::always(&["PUT", "/manifests/"], fault).times(0, 2)).await;
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_registry_dies_between_blobs_and_manifest() {
    case("registry-killed", 34, killed_before_the_manifest);
}

/// `kill -9` when all blobs are there and the manifest is on its way.
async fn killed_before_the_manifest(case: &mut Case) {
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let call = Arc::new(move || sender.send(()).expect("the case waits"));
    case.registry_proxy.add(Rule::always(&["PUT", "/manifests/"], Fault::Then(call)).times(0, 1));
    let id = case.build(SCRIPT, Extra::Forbidden).await;
    seen.recv().await.unwrap();
    case.registry.kill();
    let away = case.moment(Duration::from_secs(3));
    case.say(&format!("the registry is away for {away:?} from the manifest on"));
    tokio::time::sleep(away).await;
    let parts = &mut **case;
    parts.registry.start(&parts.namespace);
    let report = case.report(&id).await;
    assert_eq!(report["outcome"], "succeeded", "{report:#}");
    assert_eq!(compiled(case, &id), 1, "only the push is tried again");
}

#[test]
#[ignore = "long: five more moments, and half a minute of silence"]
fn a_registry_fails_at_many_moments() {
    for seed in 40..45 {
        case(&format!("registry-killed-{seed}"), seed, killed_before_the_manifest);
        case(&format!("cut-{seed}"), seed, async |case| {
            let bytes = case.random.random_range(0..900_000);
            succeeds_over(case, Rule::always(&["PATCH", "/blobs/uploads/"], Fault::Cut(bytes)).times(0, 1)).await;
        });
    }
    case("hangs", 46, async |case| {
        let rule = Rule::always(&["/blobs/uploads/"], Fault::Late(Duration::from_secs(30))).times(0, 1);
        succeeds_over(case, rule).await;
    });
    case("broken", 47, async |case| {
        let rule = Rule::always(&["/v2/"], Fault::Answer(500, "")).during(Duration::from_secs(15));
        succeeds_over(case, rule).await;
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_registrys_disk_is_full() {
    case("registry-full", 35, async |case| {
        let filler = fill(case);
        let id = case.build(SCRIPT, Extra::Forbidden).await;
        case.step(&id, "push").await;
        let full = case.moment(Duration::from_secs(10));
        tokio::time::sleep(full).await;
        case.namespace.run(&["rm", &filler], &[]);
        case.say(&format!("full for {full:?} of the push"));
        assert_eq!(case.report(&id).await["outcome"], "succeeded");
        assert_eq!(compiled(case, &id), 1, "only the push is tried again");
    });
}

#[test]
#[ignore = "long: a build waits for its registry as long as it may"]
fn a_registrys_disk_stays_full() {
    case("registry-stays-full", 36, async |case| {
        let filler = fill(case);
        let id = case.build(SCRIPT, Extra::Forbidden).await;
        let report = case.report(&id).await;
        case.namespace.run(&["rm", &filler], &[]);
        case.say(&format!("{} {}", report["outcome"], report["failure"]["code"]));
        assert_eq!(
            (&report["failure"]["step"], &report["failure"]["blame"]),
            (&"push".into(), &"service".into()),
            "{report:#}"
        );
    });
}

/// Fills the registry's disk, and says with which file.
fn fill(case: &Case) -> String {
    let filler = case.registry.data().join("filler").display().to_string();
    case.namespace.run(&["sh", "-c", &format!("head -c 1G /dev/zero >{filler}; true")], &[]);
    filler
}
