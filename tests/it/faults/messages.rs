//! Messages that are wrong, and ids that come twice.

use rand::RngExt as _;
use serde_json::json;

use super::case::{Extra, case};

const SCRIPT: &str = "cp payload /output/";

#[test]
#[ignore = "long: one more fault on real parts"]
fn an_id_comes_twice() {
    case("twice", 100, async |case| {
        let (repository, commit) = case.repository(SCRIPT);
        let request = case.request(&repository, &commit);
        let id = case.send(&request, Extra::Allowed).await;
        case.report(&id).await;
        case.send(&request, Extra::Allowed).await;
        let twice = |inbox: &super::mailbox::Inbox| inbox.reports.get(&id).filter(|all| all.len() == 2).cloned();
        let reports = case.mailbox.wait("the second report", super::case::PATIENCE, twice).await.unwrap();
        assert_eq!(reports[0], reports[1]);

        let mut other = request.clone();
        other["application"]["name"] = json!("another");
        case.send(&other, Extra::Allowed).await;
        let third = |inbox: &super::mailbox::Inbox| inbox.reports.get(&id).and_then(|all| all.get(2)).cloned();
        let report = case.mailbox.wait("the third report", super::case::PATIENCE, third).await.unwrap();
        assert_eq!((&report["outcome"], &report["failure"]["code"]), (&"rejected".into(), &"id_reused".into()));
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn poison_is_reported_where_it_has_an_id_and_builds_go_on() {
    case("poison", 101, async |case| {
        let (repository, commit) = case.repository(SCRIPT);
        let good = case.request(&repository, &commit);
        let with = |path: &str, value: serde_json::Value| {
            let mut request = good.clone();
            *request.pointer_mut(path).unwrap() = value;
            request
        };
        let wrong = [
            with("/version", json!(99)),
            with("/application/name", json!("../../etc")),
            with("/source/url", json!("file:///etc")),
            {
                let mut all = good.clone();
                all["toolchain"] = json!({ "name": "cobol" });
                all
            },
            {
                let mut all = good.clone();
                all.as_object_mut().unwrap().remove("source");
                all
            },
            {
                let mut all = good.clone();
                all["unknown"] = json!(true);
                all
            },
        ];
        for (number, mut request) in wrong.into_iter().enumerate() {
            request["id"] = json!(format!("poison-{}-{number}", case.random.random::<u32>()));
            let id = case.send(&request, Extra::Forbidden).await;
            let report = case.report(&id).await;
            assert_ne!(report["outcome"], "succeeded", "{report:#}");
            assert_ne!(report["failure"]["blame"], "service", "{report:#}");
        }
        let too_long = format!("{{\"version\":1,\"id\":\"long\",\"padding\":\"{}\"}}", "x".repeat(10 << 20));
        let raw = [&b"{"[..], b"\xff\xfe", b"[]", b"", too_long.as_bytes()];
        for (number, body) in raw.into_iter().enumerate() {
            let id = format!("poison-raw-{}-{number}", case.random.random::<u32>());
            case.send_poison(body, &id, Extra::Forbidden).await;
            let report = case.report(&id).await;
            assert_eq!((&report["outcome"], &report["failure"]["blame"]), (&"rejected".into(), &"request".into()));
        }
        let id = case.send(&good, Extra::Forbidden).await;
        assert_eq!(case.report(&id).await["outcome"], "succeeded");
    });
}
