//! A build is cancelled at every moment.

use std::time::Duration;

use super::case::{Case, Extra, PATIENCE, case};
use super::mailbox::Inbox;
use super::proxy::{Fault, Rule};

const SCRIPT: &str = "sleep 2; cp payload /output/; sleep 1";

fn cancel(case: &Case, id: &str) {
    case.worker.slipway(&case.namespace, &["cancel", id]).unwrap();
}

/// Cancelled at a seeded moment of a step: cancelled once, or done already.
async fn cancelled_in(case: &mut Case, step: &str) {
    let id = case.build(SCRIPT, Extra::Forbidden).await;
    case.step(&id, step).await;
    let moment = case.moment(Duration::from_secs(1));
    tokio::time::sleep(moment).await;
    cancel(case, &id);
    let report = case.report(&id).await;
    case.say(&format!("{moment:?} after the begin of {step}: {} at {}", report["outcome"], case.position(&id)));
    assert!(report["outcome"] == "cancelled" || (step == "push" && report["outcome"] == "succeeded"), "{report:#}");
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_build_is_cancelled_in_each_step() {
    case("cancelled", 110, async |case| {
        case.git_proxy.add(Rule::always(&[], Fault::Late(Duration::from_millis(300))));
        case.registry_proxy.add(Rule::always(&[], Fault::Late(Duration::from_millis(150))));
        for step in ["checkout", "compile", "push"] {
            cancelled_in(case, step).await;
        }
    });
}

#[test]
#[ignore = "long: five moments in each step"]
fn a_build_is_cancelled_at_many_moments() {
    for (seed, step) in (111..).zip(["checkout", "compile", "image", "push"]) {
        case(&format!("cancelled-in-{step}"), seed, async move |case| {
            case.git_proxy.add(Rule::always(&[], Fault::Late(Duration::from_millis(300))));
            case.registry_proxy.add(Rule::always(&[], Fault::Late(Duration::from_millis(150))));
            for _ in 0..5 {
                cancelled_in(case, step).await;
            }
        });
    }
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_build_is_cancelled_while_it_waits_for_its_next_attempt() {
    case("cancelled-waiting", 121, async |case| {
        case.git_proxy.add(Rule::always(&[], Fault::Answer(502, "")));
        let id = case.build(SCRIPT, Extra::Forbidden).await;
        let waits = |inbox: &Inbox| {
            let events = inbox.events.get(&id)?;
            events.iter().find(|event| event["kind"] == "finished" && event["retry_in_ms"].is_u64()).cloned()
        };
        case.mailbox.wait("the end of the first attempt", PATIENCE, waits).await.unwrap();
        cancel(case, &id);
        case.git_proxy.clear();
        let report = case.report(&id).await;
        case.say(&format!("cancelled in the pause before attempt {}", report["attempt"]));
        assert_eq!(report["outcome"], "cancelled", "{report:#}");
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_build_is_cancelled_before_and_after_it_runs() {
    case("cancelled-outside", 120, async |case| {
        let (repository, commit) = case.repository(SCRIPT);
        let request = case.request(&repository, &commit);
        cancel(case, request["id"].as_str().unwrap());
        cancel(case, request["id"].as_str().unwrap());
        let id = case.send(&request, Extra::Forbidden).await;
        assert_eq!(case.report(&id).await["outcome"], "cancelled");

        let id = case.build("cp payload /output/", Extra::Forbidden).await;
        assert_eq!(case.report(&id).await["outcome"], "succeeded");
        cancel(case, &id);
        cancel(case, "nobody-knows-it");
        // Both were read when the next build's was.
        let id = case.build(SCRIPT, Extra::Forbidden).await;
        case.mailbox.event(&id, "step_started", Some("compile"), PATIENCE).await.unwrap();
        cancel(case, &id);
        assert_eq!(case.report(&id).await["outcome"], "cancelled");
    });
}
