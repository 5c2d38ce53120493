//! Workers on the real broker, with the real Git server: what is sent is built once and reported once.

use serde_json::{Value, json};

use crate::support::fleet::{Fleet, Repository, header, properties};

/// A script that runs until it is stopped.
const ENDLESS: &str = "echo begun\nsleep 600\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_built_and_reported_once() {
    let mut fleet = Fleet::new(&[]).await;
    let repository = Repository::script("echo one\necho two\n");
    let mut worker = fleet.worker().await;
    let id = fleet.send(&repository.message(json!({}))).await;
    let report = fleet.report(&id).await;
    assert_eq!(
        (&report["outcome"], &report["attempt"], &report["worker"]),
        (&json!("succeeded"), &json!(1), &json!("tester"))
    );
    assert_eq!(report["source"]["commit"], json!(repository.commit));
    fleet.event(&id, |event| event["kind"] == "finished").await;
    let events = fleet.seen(&id);
    let sequence: Vec<_> = events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequence, (1..=sequence.len() as u64).collect::<Vec<_>>(), "{events:#?}");
    assert_eq!(events[0]["kind"], "accepted");
    let lines: Vec<_> = events
        .iter()
        .filter(|event| event["kind"] == "log")
        .flat_map(|event| event["lines"].as_array().unwrap())
        .collect();
    assert_eq!(lines, ["one", "two"]);
    fleet.until_waiting("builds.interactive", 0).await;
    fleet.until_waiting("reports", 1).await;
    worker.signal("TERM");
    assert_eq!(worker.end().await, Some(0), "{}", worker.log());
    // Nothing was left unacknowledged, which would come back now.
    fleet.until_waiting("builds.interactive", 0).await;
    fleet.no_more_reports().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_delivery_repeats_the_report_and_another_body_is_refused() {
    let mut fleet = Fleet::new(&[]).await;
    let repository = Repository::script("date +%N\n");
    let _worker = fleet.worker().await;
    let message = repository.message(json!({}));
    let id = fleet.send(&message).await;
    let first = fleet.report(&id).await;
    fleet.send(&message).await;
    assert_eq!(fleet.report(&id).await, first);
    fleet.send(&repository.message(json!({ "id": id, "lane": "bulk" }))).await;
    let other = fleet.report(&id).await;
    assert_eq!((&other["outcome"], &other["failure"]["code"]), (&json!("rejected"), &json!("id_reused")));
    // The first end stays the one that is repeated.
    fleet.send(&message).await;
    assert_eq!(fleet.report(&id).await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_reported_once_and_set_aside() {
    let mut fleet = Fleet::new(&[]).await;
    let repository = Repository::script("true\n");
    let _worker = fleet.worker().await;
    let large = vec![b'x'; 10 << 20];
    let poisons: [(&str, Vec<u8>, &str); 6] = [
        ("not-json", b"{".to_vec(), "is not JSON"),
        ("large", large, "at most"),
        ("version", repository.message(json!({ "version": 2 })).to_string().into_bytes(), "has `version` 2"),
        ("missing", b"{\"version\":1,\"id\":\"missing\"}".to_vec(), "missing field"),
        (
            "outside",
            repository.message(json!({ "source": { "directory": "../x" } })).to_string().into_bytes(),
            "source.directory",
        ),
        ("unknown", repository.message(json!({ "surprise": 1 })).to_string().into_bytes(), "surprise"),
    ];
    for (id, body, why) in poisons {
        fleet.send_raw(&body, properties(id)).await;
        let report = fleet.report(id).await;
        assert_eq!((&report["outcome"], &report["failure"]["code"]), (&json!("rejected"), &json!("request_invalid")));
        let message = report["failure"]["message"].as_str().unwrap();
        assert!(message.contains(why), "{message}");
        fleet.until_waiting("dead", 1).await;
        let dead = fleet.get("dead").await.unwrap();
        assert_eq!(dead.data, body);
        assert!(header(&dead, "slipway-reason").contains(why));
    }
    fleet.no_more_reports().await;
    for queue in ["builds.interactive", "dying"] {
        fleet.until_waiting(queue, 0).await;
    }
    // What can be read but not be done is told by the worker itself.
    let id = fleet.send(&repository.message(json!({ "toolchain": { "name": "cobol" } }))).await;
    assert_eq!(fleet.report(&id).await["outcome"], "failed");
    let elsewhere = json!({ "source": { "url": "http://127.0.0.1:1/x.git" } });
    let id = fleet.send(&repository.message(elsewhere)).await;
    let report = fleet.report(&id).await;
    assert_eq!((&report["outcome"], &report["failure"]["code"]), (&json!("rejected"), &json!("source_forbidden")));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_may_pass_is_tried_again() {
    let mut fleet = Fleet::new(&[]).await;
    let unavailable = "echo 'Could not transfer artifact: Connection refused'; exit 1\n";
    let (passing, failing) = (Repository::script(unavailable), Repository::script("exit 1\n"));
    let _worker = fleet.worker().await;
    let id = fleet.send(&failing.message(json!({}))).await;
    let report = fleet.report(&id).await;
    assert_eq!((&report["attempt"], &report["failure"]["blame"]), (&json!(1), &json!("project")));
    let id = fleet.send(&passing.message(json!({ "lane": "interactive" }))).await;
    let report = fleet.report(&id).await;
    assert_eq!((&report["attempt"], &report["outcome"]), (&json!(3), &json!("failed")));
    assert_eq!(
        (&report["failure"]["blame"], &report["failure"]["code"]),
        (&json!("service"), &json!("dependency_unavailable"))
    );
    fleet.event(&id, |event| event["kind"] == "finished" && event["attempt"] == 3).await;
    let retries: Vec<Value> = fleet
        .seen(&id)
        .into_iter()
        .filter(|event| event["kind"] == "finished")
        .map(|event| event["retry_in_ms"].clone())
        .collect();
    assert_eq!(retries, [json!(1000), json!(1000), Value::Null]);
    fleet.no_more_reports().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_cancelled_before_during_and_after() {
    let mut fleet = Fleet::new(&[]).await;
    let (endless, short) = (Repository::script(ENDLESS), Repository::script("true\n"));
    // Before any worker is there, and before the message is.
    let early = short.message(json!({}));
    let id = early["id"].as_str().unwrap().to_owned();
    cancel(&fleet, &id).await;
    cancel(&fleet, &id).await;
    fleet.send(&early).await;
    let _worker = fleet.worker().await;
    cancelled(&fleet.report(&id).await);
    // While it runs.
    let id = fleet.send(&endless.message(json!({}))).await;
    fleet.event(&id, |event| event["kind"] == "log").await;
    cancel(&fleet, &id).await;
    cancelled(&fleet.report(&id).await);
    // After its end, which stays.
    let message = short.message(json!({}));
    let id = fleet.send(&message).await;
    assert_eq!(fleet.report(&id).await["outcome"], "succeeded");
    cancel(&fleet, &id).await;
    fleet.send(&message).await;
    assert_eq!(fleet.report(&id).await["outcome"], "succeeded");
    fleet.no_more_reports().await;
}

async fn cancel(fleet: &Fleet, id: &str) {
    let args = ["cancel", id, "--reason", "nobody waits"].map(str::to_owned);
    let run = fleet.slipway.run(&args).await;
    assert_eq!(run.code, 0, "{}", run.text());
}

fn cancelled(report: &Value) {
    assert_eq!(report["outcome"], "cancelled", "{report:#}");
    assert_eq!(report["failure"]["message"], "the build was cancelled: nobody waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_build_takes_the_place_of_an_older_one() {
    let mut fleet = Fleet::new(&[("WORKER__LANES", "{ interactive = 2, bulk = 0 }")]).await;
    let mut repository = Repository::script(ENDLESS);
    let _worker = fleet.worker().await;
    let key = json!({ "supersede": "main" });
    let old = fleet.send(&repository.message(key.clone())).await;
    fleet.event(&old, |event| event["kind"] == "log").await;
    repository.commit(&[("build.sh", "true\n")]);
    let new = fleet.send(&repository.message(key)).await;
    let reports = [fleet.next_report().await, fleet.next_report().await];
    let of = |id: &str| reports.iter().find(|report| report["id"] == id).unwrap();
    assert_eq!(of(&new)["outcome"], "succeeded");
    assert_eq!(of(&old)["outcome"], "cancelled");
    let message = of(&old)["failure"]["message"].as_str().unwrap();
    assert_eq!(message, format!("the newer build `{new}` took its place"));
}

/// `slipway submit` of a message.
async fn submit(fleet: &Fleet, message: &Value) -> String {
    let file = fleet.state().join("message.json");
    std::fs::write(&file, message.to_string()).unwrap();
    let args = ["submit", file.to_str().unwrap()].map(str::to_owned);
    let run = fleet.slipway.run(&args).await;
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.text());
    message["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_build_ends_older_ones_before_it_is_taken() {
    let mut fleet = Fleet::new(&[("WORKER__LANES", "{ interactive = 1, bulk = 0 }")]).await;
    let (endless, short) = (Repository::script(ENDLESS), Repository::script("true\n"));
    let _worker = fleet.worker().await;
    let key = |id: &str, name: &str| json!({ "id": id, "supersede": "main", "application": { "name": name } });
    // The only slot is the older build's.
    let old = submit(&fleet, &endless.message(key("old", "shop"))).await;
    fleet.event(&old, |event| event["kind"] == "log").await;
    let new = submit(&fleet, &short.message(key("new", "shop"))).await;
    let report = fleet.report(&old).await;
    assert_eq!(report["failure"]["message"], format!("the newer build `{new}` took its place"), "{report:#}");
    assert_eq!(fleet.report(&new).await["outcome"], "succeeded");
    // The older one still waits, and never begins.
    let other = fleet.send(&endless.message(json!({}))).await;
    fleet.event(&other, |event| event["kind"] == "log").await;
    let old = submit(&fleet, &endless.message(key("waits", "stock"))).await;
    let new = submit(&fleet, &short.message(key("newer", "stock"))).await;
    cancel(&fleet, &other).await;
    cancelled(&fleet.report(&other).await);
    assert_eq!(fleet.report(&old).await["outcome"], "cancelled");
    assert_eq!(fleet.report(&new).await["outcome"], "succeeded");
    fleet.event(&new, |event| event["kind"] == "finished").await;
    assert_eq!(fleet.seen(&old), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_goes_ends_what_runs_or_gives_it_back() {
    let mut fleet = Fleet::new(&[]).await;
    let waits = format!("echo begun\nwhile ! test -e {}/go; do sleep 0.1; done\n", fleet.state().display());
    let repository = Repository::script(&waits);
    let mut worker = fleet.worker().await;
    // One signal: what runs ends.
    let id = fleet.send(&repository.message(json!({}))).await;
    fleet.event(&id, |event| event["kind"] == "log").await;
    worker.signal("TERM");
    worker.says("the worker goes").await;
    let next = fleet.send(&repository.message(json!({}))).await;
    std::fs::write(fleet.state().join("go"), "").unwrap();
    assert_eq!(fleet.report(&id).await["outcome"], "succeeded");
    assert_eq!(worker.end().await, Some(0), "{}", worker.log());
    fleet.until_waiting("builds.interactive", 1).await;
    // Two signals: it is given back, and the next worker builds it.
    std::fs::remove_file(fleet.state().join("go")).unwrap();
    let mut worker = fleet.worker().await;
    fleet.event(&next, |event| event["kind"] == "log").await;
    worker.signal("TERM");
    worker.says("the worker goes").await;
    worker.signal("TERM");
    assert_eq!(worker.end().await, Some(0), "{}", worker.log());
    fleet.until_waiting("builds.interactive", 1).await;
    fleet.no_more_reports().await;
    std::fs::write(fleet.state().join("go"), "").unwrap();
    let _worker = fleet.worker().await;
    assert_eq!(fleet.report(&next).await["outcome"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_refuses_a_broker_that_is_not_prepared() {
    let fleet = Fleet::undeclared(&[]).await;
    let mut worker = fleet.start();
    assert_eq!(worker.end().await, Some(2));
    assert!(worker.log().contains("slipway queues declare"), "{}", worker.log());
    let args = ["queues", "check", "--format", "json"].map(str::to_owned);
    let check = fleet.slipway.run(&args).await;
    assert_eq!(check.code, 2);
    assert_eq!(check.report["differences"].as_array().unwrap().len(), 11, "{}", check.text());
    // Checking makes nothing.
    assert_eq!(fleet.slipway.run(&args).await.report, check.report);
    fleet.declare().await;
    assert_eq!(fleet.slipway.run(&args).await.code, 0);
    // The same names in another shape.
    let mut other = fleet.slipway.command(&["worker".to_owned()]);
    let output = other.env("SLIPWAY__AMQP__DELIVERY_LIMIT", "7").output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("x-delivery-limit") && text.contains("builds.interactive"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_is_missing_is_named_by_whoever_sends() {
    let mut fleet = Fleet::new(&[]).await;
    let (queue, exchange) = (fleet.name("builds.interactive"), fleet.name("requests"));
    let none = lapin::types::FieldTable::default();
    fleet.channel.queue_unbind(queue.into(), exchange.into(), "interactive".into(), none).await.unwrap();
    let file = fleet.state().join("message.json");
    let message = Repository::script("true\n").message(json!({}));
    std::fs::write(&file, message.to_string()).unwrap();
    let args = ["submit", file.to_str().unwrap()].map(str::to_owned);
    let run = fleet.slipway.run(&args).await;
    assert_eq!(run.code, 75, "{}", run.text());
    assert!(run.stderr.contains("slipway queues declare"), "{}", run.stderr);
    // The broker shows nobody its bindings, and the check says so.
    let check = fleet.slipway.command(&["queues", "check"].map(str::to_owned)).output().await.unwrap();
    assert!(check.status.success() && String::from_utf8_lossy(&check.stdout).contains("bindings cannot be seen"));
    fleet.declare().await;
    assert_eq!(fleet.slipway.run(&args).await.code, 0);
    let _worker = fleet.worker().await;
    assert_eq!(fleet.next_report().await["id"], message["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_is_named() {
    let away = [("AMQP__URL", "amqp://127.0.0.1:1/"), ("CREDENTIALS__BROKER__HOSTS", "[\"127.0.0.1:1\"]")];
    let fleet = Fleet::undeclared(&away).await;
    let run = fleet.slipway.run(&["cancel", "nobody"].map(str::to_owned)).await;
    assert!(run.code == 75 && run.stderr.contains("the broker at `127.0.0.1:1`"), "{}", run.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_made_is_the_operators_to_mend() {
    let fleet = Fleet::undeclared(&[]).await;
    fleet.declare().await;
    let mut command = fleet.slipway.command(&["worker".to_owned()]);
    let output = command.env("SLIPWAY__WORKER__DIRECTORY", "/proc/none").output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("`/proc/none`") && text.contains("worker.directory"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_of_the_log_are_for_terminals() {
    let fleet = Fleet::new(&[]).await;
    let mut command = fleet.slipway.command(&["worker".to_owned()]);
    command.env_remove("NO_COLOR");
    let worker = fleet.follow(command);
    worker.says("takes builds").await;
    assert!(!worker.log().contains('\u{1b}'), "{}", worker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_longer_than_the_brokers_is_refused() {
    let fleet = Fleet::undeclared(&[]).await;
    let mut command = fleet.slipway.command(&["worker".to_owned()]);
    let output = command.env("SLIPWAY__LIMITS__TIMEOUT", "29m").output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("consumer_timeout") && text.contains("31m"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn submit_waits_for_the_report() {
    let fleet = Fleet::new(&[]).await;
    let repository = Repository::script("echo hello\n");
    let _worker = fleet.worker().await;
    let file = fleet.state().join("message.json");
    let mut message = repository.message(json!({ "source": { "revision": "main" } }));
    message["source"].as_object_mut().unwrap().remove("commit");
    for field in ["id", "version"] {
        message.as_object_mut().unwrap().remove(field);
    }
    std::fs::write(&file, message.to_string()).unwrap();
    let args = ["submit", file.to_str().unwrap(), "--wait", "--format", "json"].map(str::to_owned);
    let run = fleet.slipway.run(&args).await;
    assert_eq!(run.code, 0, "{}", run.text());
    assert_eq!(run.report["source"]["commit"], json!(repository.commit));
    message["toolchain"] = json!({ "name": "cobol" });
    std::fs::write(&file, message.to_string()).unwrap();
    let run = fleet.slipway.run(&args).await;
    assert_eq!((run.code, run.failure_code()), (1, "ecosystem_unrecognised"), "{}", run.text());
}
