//! The broker restarts, dies, is cut off, is out of memory or disk, or loses a queue.

use std::time::Duration;

use super::broker::Broker;
use super::case::{Case, Extra, PATIENCE, case};
use super::mailbox::{declare_queue, delete_queue};

const SCRIPT: &str = "sleep 2; cp payload /output/";

/// Nothing is acknowledged before the broker keeps the report; one that dies in between hears it again.
async fn broker_restarts(case: &mut Case, kill: bool) {
    let id = case.build(SCRIPT, Extra::Allowed).await;
    case.step(&id, "checkout").await;
    let moment = case.moment(Duration::from_secs(4));
    tokio::time::sleep(moment).await;
    case.say(&format!("the broker goes {moment:?} after the begin: {}", case.position(&id)));
    if kill {
        case.broker.kill();
    } else {
        case.broker.stop();
    }
    let parts = &mut **case;
    parts.broker.start(&parts.namespace);
    assert_eq!(case.report(&id).await["outcome"], "succeeded");
}

#[test]
fn a_broker_is_killed() {
    // The queues are older than five seconds: a younger one may be lost with the broker (RabbitMQ 3.10).
    case("broker-killed", 50, async |case| broker_restarts(case, true).await);
}

#[test]
#[ignore = "long: ten starts of a broker"]
fn a_broker_goes_at_many_moments() {
    for seed in 51..56 {
        case(&format!("broker-killed-{seed}"), seed, async |case| broker_restarts(case, true).await);
        case(&format!("broker-stopped-{seed}"), seed, async |case| broker_restarts(case, false).await);
    }
}

/// Whether packets between the worker and the broker are dropped, both ways.
pub(super) fn cut_off(case: &Case, cut: bool) {
    let (change, port) = (if cut { "-A" } else { "-D" }, super::cluster::RELAY.to_string());
    for side in ["--dport", "--sport"] {
        case.namespace.run(&["iptables", change, "INPUT", "-p", "tcp", side, &port, "-j", "DROP"], &[]);
    }
}

#[test]
#[ignore = "long: no packet passes for 35 s"]
fn a_broker_is_cut_off() {
    case("cut-off", 57, async |case| {
        let id = case.build(SCRIPT, Extra::Allowed).await;
        case.step(&id, "compile").await;
        cut_off(case, true);
        tokio::time::sleep(Duration::from_secs(35)).await;
        cut_off(case, false);
        assert_eq!(case.report(&id).await["outcome"], "succeeded");
    });
}

#[test]
#[ignore = "long: no packet passes for 40 s"]
fn two_workers_build_the_same() {
    case("partition", 48, async |case| {
        let id = case.build("for i in 1 2 3 4 5; do echo $i; sleep 4; done; cp payload /output/", Extra::Allowed).await;
        case.step(&id, "compile").await;
        cut_off(case, true);
        // Its start removes what dead workers left, and the first one lives.
        let parts = &mut **case;
        parts.neighbour.start(&parts.namespace);
        let of = |worker: &'static str| {
            let id = id.clone();
            move |inbox: &super::mailbox::Inbox| {
                inbox.reports.get(&id)?.iter().find(|report| report["worker"] == worker).cloned()
            }
        };
        let second = case.mailbox.wait("the report of the second worker", PATIENCE * 2, of("neighbour")).await.unwrap();
        cut_off(case, false);
        let first = case.mailbox.wait("the report of the first worker", PATIENCE, of("worker")).await.unwrap();
        for report in [&first, &second] {
            assert_eq!((&report["outcome"], &report["attempt"]), (&"succeeded".into(), &1.into()), "{report:#}");
        }
        assert_eq!(first["image"]["digest"], second["image"]["digest"], "whichever pushed last, the tag is the same");
        assert_eq!(case.neighbour.take().terminate(Duration::from_secs(30)), Some(0));
    });
}

#[test]
fn a_queue_is_deleted() {
    case("queue-deleted", 58, async |case| {
        delete_queue("slipway.builds.interactive").await;
        case.worker.slipway(&case.namespace, &["queues", "declare"]).unwrap();
        let id = case.build(SCRIPT, Extra::Forbidden).await;
        assert_eq!(case.report(&id).await["outcome"], "succeeded");
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_queue_is_deleted_while_its_request_is_built() {
    case("queue-deleted-mid-build", 49, async |case| {
        let id = case.build(SCRIPT, Extra::Forbidden).await;
        case.step(&id, "compile").await;
        delete_queue("slipway.builds.interactive").await;
        // What was delivered is built to its end and reported, though there is nothing left to acknowledge it to.
        assert_eq!(case.report(&id).await["outcome"], "succeeded");
        case.worker.slipway(&case.namespace, &["queues", "declare"]).unwrap();
        let id = case.build("cp payload /output/", Extra::Forbidden).await;
        assert_eq!(case.report(&id).await["outcome"], "succeeded");
    });
}

#[test]
fn a_queue_has_another_shape() {
    case("other-shape", 59, async |case| {
        assert_eq!(case.worker.take().terminate(Duration::from_secs(30)), Some(0));
        delete_queue("slipway.builds.bulk").await;
        declare_queue("slipway.builds.bulk").await;
        let parts = &mut **case;
        parts.worker.start(&parts.namespace);
        let code = parts.worker.take().ended(Duration::from_secs(30));
        assert_eq!(code, Some(2), "a worker does not start on it: {}", case.worker_log());
        assert!(case.worker_log().contains("slipway.builds.bulk"), "{}", case.worker_log());
        delete_queue("slipway.builds.bulk").await;
        case.worker.slipway(&case.namespace, &["queues", "declare"]).unwrap();
        case.restart_worker().await;
    });
}

/// An alarm stops whoever publishes. It passes, and everything goes out.
async fn alarmed(case: &mut Case, on: &[&str], off: &[&str]) {
    let id = case.build(SCRIPT, Extra::Allowed).await;
    case.step(&id, "compile").await;
    Broker::control(&case.namespace, on);
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(case.mailbox.inbox().reports.get(&id), None, "nobody publishes under an alarm");
    Broker::control(&case.namespace, off);
    assert_eq!(case.report(&id).await["outcome"], "succeeded");
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_broker_is_out_of_memory() {
    case("memory-alarm", 60, async |case| {
        alarmed(case, &["set_vm_memory_high_watermark", "0.0000001"], &["set_vm_memory_high_watermark", "0.4"]).await;
    });
}

#[test]
#[ignore = "long: as for memory"]
fn a_broker_is_out_of_disk() {
    case("disk-alarm", 61, async |case| {
        alarmed(case, &["set_disk_free_limit", "100000GB"], &["set_disk_free_limit", "10MB"]).await;
    });
}

#[test]
fn the_report_queue_is_missing() {
    case("no-reports", 62, async |case| {
        delete_queue("slipway.reports").await;
        let id = case.build("cp payload /output/", Extra::Allowed).await;
        case.mailbox.event(&id, "step_finished", Some("push"), PATIENCE).await.unwrap();
        case.worker.slipway(&case.namespace, &["queues", "declare"]).unwrap();
        assert_eq!(case.report(&id).await["outcome"], "succeeded");
    });
}

/// Whether the queue of reports takes none.
pub(super) fn fill_reports(case: &Case, full: bool) {
    let policy = ["set_policy", "full", "^slipway\\.reports$", "{\"max-length\":0,\"overflow\":\"reject-publish\"}"];
    let policy = if full { [&policy[..], &["--apply-to", "queues"]].concat() } else { vec!["clear_policy", "full"] };
    Broker::control(&case.namespace, &policy);
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn the_report_queue_is_full() {
    case("full-reports", 63, async |case| {
        fill_reports(case, true);
        let id = case.build("cp payload /output/", Extra::Allowed).await;
        case.mailbox.event(&id, "step_finished", Some("push"), PATIENCE).await.unwrap();
        fill_reports(case, false);
        assert_eq!(case.report(&id).await["outcome"], "succeeded");
    });
}
