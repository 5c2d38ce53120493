//! The worker is killed, stands still, or shall end.

use std::time::Duration;

use rustix::process::Signal;

use super::case::{Case, Extra, case};
use super::proxy::{Fault, Rule};

/// A build whose steps take long enough to be hit.
const SCRIPT: &str = "sleep 1; cp payload /output/; sleep 1";

/// A build that takes longer than the grace.
const LONG: &str = "sleep 9; echo on; sleep 9; echo on; sleep 9; cp payload /output/";

/// About how long each step of it takes with slow proxies.
const WINDOW: Duration = Duration::from_millis(1500);

/// The steps that are hit.
const STEPS: [&str; 3] = ["checkout", "compile", "push"];

/// Makes checkout and push take their time.
fn slow(case: &Case) {
    case.git_proxy.add(Rule::always(&[], Fault::Late(Duration::from_millis(200))));
    case.registry_proxy.add(Rule::always(&[], Fault::Late(Duration::from_millis(100))));
}

/// `kill -9` at a seeded moment of a step; the next worker builds it.
async fn killed_in(case: &mut Case, step: &str) {
    let id = case.build(SCRIPT, Extra::Allowed).await;
    case.step(&id, step).await;
    let moment = case.moment(WINDOW);
    tokio::time::sleep(moment).await;
    case.worker.take().kill();
    case.say(&format!("killed {moment:?} after the begin of {step}: {}", case.position(&id)));
    case.restart_worker().await;
    let report = case.report(&id).await;
    assert_eq!(report["outcome"], "succeeded", "{report:#}");
}

/// `kill -9` when the report is out and its request is not acknowledged.
async fn killed_after_its_report(case: &mut Case) {
    case.relay.hold_acknowledgements();
    let id = case.build("cp payload /output/", Extra::Allowed).await;
    case.report(&id).await;
    let moment = case.moment(Duration::from_millis(50));
    tokio::time::sleep(moment).await;
    case.worker.take().kill();
    case.relay.release();
    case.restart_worker().await;
    let again = |inbox: &super::mailbox::Inbox| inbox.reports.get(&id).filter(|reports| reports.len() > 1).cloned();
    let reports = case.mailbox.wait("the repeated report", super::case::PATIENCE, again).await.unwrap();
    assert_eq!(reports[0], reports[1], "what was said once is repeated");
    let inbox = case.mailbox.inbox();
    let compiled =
        inbox.events[&id].iter().filter(|event| event["kind"] == "step_started" && event["step"] == "compile");
    assert_eq!(compiled.count(), 1, "nothing is built again");
    drop(inbox);
    case.say(&format!("killed {moment:?} after the report"));
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_worker_is_killed_in_each_step() {
    case("killed", 1, async |case| {
        slow(case);
        for step in STEPS {
            killed_in(case, step).await;
        }
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_worker_is_killed_between_report_and_acknowledgement() {
    case("unacknowledged", 2, killed_after_its_report);
}

#[test]
#[ignore = "long: five moments in each step"]
fn a_worker_is_killed_at_many_moments() {
    for (seed, step) in (10..).zip(STEPS) {
        case(&format!("killed-in-{step}"), seed, async move |case| {
            slow(case);
            for _ in 0..5 {
                killed_in(case, step).await;
            }
        });
    }
    case("killed-unacknowledged", 20, async |case| {
        for _ in 0..5 {
            killed_after_its_report(case).await;
        }
    });
}

#[test]
#[ignore = "long: the worker stands still for 40 s"]
fn a_worker_stands_still() {
    case("still", 3, async |case| {
        let id = case.build(SCRIPT, Extra::Allowed).await;
        case.step(&id, "compile").await;
        case.worker.program().freeze();
        tokio::time::sleep(Duration::from_secs(40)).await;
        case.worker.program().thaw();
        assert_eq!(case.report(&id).await["outcome"], "succeeded");
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_worker_that_shall_end_finishes_what_is_short() {
    case("drained", 4, drained);
}

/// One signal at a seeded moment: the build ends, and then the worker.
async fn drained(case: &mut Case) {
    let id = case.build(SCRIPT, Extra::Forbidden).await;
    case.step(&id, "checkout").await;
    let moment = case.moment(Duration::from_secs(2));
    tokio::time::sleep(moment).await;
    case.say(&format!("told to go {moment:?} after the begin: {}", case.position(&id)));
    let code = case.worker.take().terminate(super::worker::GRACE + Duration::from_secs(20));
    assert_eq!(code, Some(0));
    let report = case.report(&id).await;
    assert_eq!((&report["outcome"], &report["attempt"]), (&"succeeded".into(), &1.into()), "{report:#}");
    case.restart_worker().await;
}

#[test]
#[ignore = "long: five moments of one signal, and of two"]
fn a_worker_is_told_to_go_at_many_moments() {
    for seed in 22..27 {
        case(&format!("drained-{seed}"), seed, drained);
        case(&format!("second-signal-{seed}"), seed, told_twice);
    }
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_worker_that_shall_end_gives_back_what_is_long() {
    case("given-back", 5, async |case| {
        let id = case.build(LONG, Extra::Forbidden).await;
        case.step(&id, "compile").await;
        let code = case.worker.take().terminate(super::worker::GRACE + Duration::from_secs(20));
        assert_eq!(code, Some(0));
        assert_eq!(case.mailbox.inbox().reports.get(&id), None, "it is not reported but given back");
        case.restart_worker().await;
        assert_eq!(case.report(&id).await["outcome"], "succeeded");
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_second_signal_ends_at_once() {
    case("second-signal", 6, told_twice);
}

/// Two signals: the build is given back at once.
async fn told_twice(case: &mut Case) {
    let id = case.build(LONG, Extra::Forbidden).await;
    case.step(&id, "compile").await;
    let program = case.worker.take();
    program.signal(Signal::TERM);
    // The first one has to be seen as such.
    let first = case.moment(Duration::from_secs(2)) + Duration::from_millis(200);
    tokio::time::sleep(first).await;
    case.say(&format!("told again after {first:?}: {}", case.position(&id)));
    let code = program.terminate(super::worker::GRACE);
    assert_eq!(code, Some(0));
    case.restart_worker().await;
    assert_eq!(case.report(&id).await["outcome"], "succeeded");
}
