//! A build does not end, says nothing, says too much, breeds, or fills the disk.

use serde_json::Value;

use super::case::{Case, Extra, case};

async fn built(case: &mut Case, script: &str) -> Value {
    let id = case.build(script, Extra::Forbidden).await;
    let report = case.report(&id).await;
    case.say(&format!("{} {}", report["outcome"], report["failure"]["code"]));
    report
}

#[test]
#[ignore = "long: it is stopped after 40 s"]
fn a_build_does_not_end() {
    case("endless", 70, async |case| {
        let report = built(case, "while :; do echo on and on; sleep 1; done").await;
        assert_eq!(report["outcome"], "timed_out", "{report:#}");
    });
}

#[test]
fn a_build_says_nothing() {
    case("silent", 71, async |case| {
        let report = built(case, "sleep 1000").await;
        assert_eq!(report["outcome"], "timed_out", "{report:#}");
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_build_breeds() {
    case("fork-bomb", 72, async |case| {
        let report = built(case, "breed() { breed | breed & }; breed; sleep 1000").await;
        assert_ne!(report["outcome"], "succeeded", "{report:#}");
        assert_eq!(report["failure"]["blame"], "project", "{report:#}");
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_build_says_too_much() {
    case("loud", 73, async |case| {
        let report = built(
            case,
            "yes 'a line of some sixty characters, again and again and again' | head -c 1073741824; cp payload /output/",
        )
        .await;
        assert_eq!(report["outcome"], "succeeded", "{report:#}");
        let log = case.worker.cache().join("logs");
        let bytes = case.namespace.run(&["du", "-sb", log.to_str().unwrap()], &[]);
        let bytes: u64 = bytes.split_whitespace().next().unwrap().parse().unwrap();
        assert!(bytes < 4 << 20, "the logs take {bytes} bytes");
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn a_build_fills_the_disk() {
    case("disk-hog", 74, async |case| {
        let report = built(case, "head -c 104857600 /dev/zero >zeros; sleep 30; cp payload /output/").await;
        assert_eq!(report["failure"]["code"], "output_limit", "{report:#}");
        assert_eq!(report["failure"]["blame"], "project", "{report:#}");
    });
}

#[test]
fn the_workspaces_disk_is_full() {
    case("workspace-full", 75, async |case| {
        let filler = case.worker.cache().join("filler").display().to_string();
        case.namespace.run(&["sh", "-c", &format!("head -c 1G /dev/zero >{filler}; true")], &[]);
        let id = case.build("cp payload /output/", Extra::Forbidden).await;
        // Whether it is not taken or fails at first: when there is room again, it is built.
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        case.namespace.run(&["rm", &filler], &[]);
        assert_eq!(case.report(&id).await["outcome"], "succeeded");
    });
}

#[test]
fn a_build_fails_by_itself() {
    case("project-fails", 76, async |case| {
        let report = built(case, "echo this is wrong; exit 3").await;
        assert_eq!(
            (&report["outcome"], &report["failure"]["blame"]),
            (&"failed".into(), &"project".into()),
            "{report:#}"
        );
        let tail = report["failure"]["log_tail"].to_string();
        assert!(tail.contains("this is wrong"), "{tail}");
    });
}
