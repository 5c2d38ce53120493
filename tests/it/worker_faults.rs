//! What happens to workers, and what is left to their neighbours: nothing is lost, and nothing is built twice by accident.

use lapin::options::ExchangeDeleteOptions;
use serde_json::json;
use slipway::report::{Outbox, OutboxLimits};

use crate::services::service;
use crate::support::fleet::{Fleet, Repository, header, json_of, next, properties};
use crate::support::repository::{Published, host_of};
use crate::support::slipway::PRODUCT_LINE;

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_kills_its_workers_is_set_aside() {
    let mut fleet = Fleet::new(&[("AMQP__DELIVERY_LIMIT", "1")]).await;
    let repository = Repository::script("echo begun\nsleep 20\n");
    let id = fleet.send(&repository.message(json!({}))).await;
    for _ in 0..2 {
        let mut worker = fleet.worker().await;
        fleet.event(&id, |event| event["kind"] == "log").await;
        worker.child.kill().await.unwrap();
    }
    let _worker = fleet.worker().await;
    let report = fleet.report(&id).await;
    assert_eq!((&report["outcome"], &report["failure"]["code"]), (&json!("failed"), &json!("worker_killed")));
    assert_eq!(report["failure"]["blame"], "service");
    fleet.until_waiting("dead", 1).await;
    let list = fleet.slipway.run(&["dead", "list", "--format", "json"].map(str::to_owned)).await;
    assert_eq!(list.report["messages"][0]["id"], json!(id), "{}", list.text());
    // Sent again, it is another build.
    let requeue = fleet.slipway.command(&["dead", "requeue", &id].map(str::to_owned)).output().await.unwrap();
    let new = String::from_utf8(requeue.stdout).unwrap().trim().to_owned();
    assert_ne!(new, id);
    fleet.event(&new, |event| event["kind"] == "log").await;
    fleet.until_waiting("dead", 0).await;
    fleet.no_more_reports().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_attempt_that_kills_its_workers_is_told_from_what_cannot_be_read() {
    let mut fleet = Fleet::new(&[("AMQP__DELIVERY_LIMIT", "1")]).await;
    let marker = fleet.state().join("tried").display().to_string();
    let passes = "echo 'Could not transfer artifact: Connection refused'; exit 1";
    let script = format!("test -e {marker} || {{ touch {marker}; {passes}; }}\necho begun\nsleep 20\n");
    let repository = Repository::script(&script);
    let id = fleet.send(&repository.message(json!({}))).await;
    for _ in 0..2 {
        let mut worker = fleet.worker().await;
        fleet.event(&id, |event| event["attempt"] == 2 && event["kind"] == "log").await;
        worker.child.kill().await.unwrap();
    }
    let _worker = fleet.worker().await;
    let report = fleet.report(&id).await;
    assert_eq!((&report["attempt"], &report["failure"]["code"]), (&json!(2), &json!("worker_killed")), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_sent_straight_to_a_queue_is_like_any_other() {
    let settings = [("WORKER__LANES", "{ interactive = 0, bulk = 1 }"), ("AMQP__DELIVERY_LIMIT", "1")];
    let mut fleet = Fleet::new(&settings).await;
    let queue = fleet.name("builds.bulk");
    // It is tried again.
    let passing = Repository::script("echo 'Could not transfer artifact: Connection refused'; exit 1\n");
    let mut worker = fleet.worker().await;
    let message = passing.message(json!({}));
    let id = message["id"].as_str().unwrap();
    fleet.publish("", &queue, message.to_string().as_bytes(), properties(id)).await;
    assert_eq!(fleet.report(id).await["attempt"], 3);
    worker.signal("TERM");
    assert_eq!(worker.end().await, Some(0), "{}", worker.log());
    // It is given back by a worker that goes, and sent anew, since it would come back too often.
    let marker = fleet.state().join("go").display().to_string();
    let waiting = Repository::script(&format!("echo begun\nwhile ! test -e {marker}; do sleep 0.1; done\n"));
    let message = waiting.message(json!({}));
    let id = message["id"].as_str().unwrap();
    let mut worker = fleet.worker().await;
    fleet.publish("", &queue, message.to_string().as_bytes(), properties(id)).await;
    fleet.event(id, |event| event["kind"] == "log").await;
    worker.signal("TERM");
    worker.says("the worker goes").await;
    worker.signal("TERM");
    assert_eq!(worker.end().await, Some(0), "{}", worker.log());
    fleet.until_waiting("builds.bulk", 1).await;
    std::fs::write(marker, "").unwrap();
    let _worker = fleet.worker().await;
    assert_eq!(fleet.report(id).await["outcome"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_outlives_its_worker_and_the_build_is_not_made_again() {
    let mut fleet = Fleet::new(&[]).await;
    let place = fleet.state().display().to_string();
    let script = format!("echo built >> {place}/builds\nwhile ! test -e {place}/go; do sleep 0.1; done\n");
    let repository = Repository::script(&script);
    let mut worker = fleet.worker().await;
    let id = fleet.send(&repository.message(json!({}))).await;
    fleet.event(&id, |event| event["kind"] == "step_started" && event["step"] == "compile").await;
    // Nobody can take the report.
    let reports = fleet.name("reports");
    fleet.channel.exchange_delete(reports.as_str().into(), ExchangeDeleteOptions::default()).await.unwrap();
    std::fs::write(fleet.state().join("go"), "").unwrap();
    worker.says("a report goes to the outbox").await;
    worker.child.kill().await.unwrap();
    // As after a crash of everything.
    fleet.declare().await;
    let _worker = fleet.worker().await;
    assert_eq!(fleet.report(&id).await["outcome"], "succeeded");
    // The request, which was never acknowledged, is answered from the ledger.
    fleet.until_waiting("builds.interactive", 0).await;
    assert_eq!(std::fs::read_to_string(fleet.state().join("builds")).unwrap(), "built\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_worker_left_goes_before_anything_is_taken() {
    let cache = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::new(&[("CACHE__DIRECTORY", cache.path().to_str().unwrap())]).await;
    let repository = Repository::script("echo begun\nsleep 20\n");
    let mut worker = fleet.worker().await;
    let id = fleet.send(&repository.message(json!({}))).await;
    fleet.event(&id, |event| event["kind"] == "log").await;
    worker.child.kill().await.unwrap();
    let left = || std::fs::read_dir(cache.path().join("workspaces")).unwrap().count();
    assert_eq!(left(), 1);
    // What it left may fill the disk, so that the next one takes no build.
    let other = [("LIMITS__FREE_DISK", "1000000GiB")];
    let worker = fleet.start_as(&fleet.slipway, &other);
    worker.says("the disk of its cache is full").await;
    assert_eq!(left(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_report_queue_is_waited_for() {
    let mut fleet = Fleet::new(&[]).await;
    let repository = Repository::script("true\n");
    let mut worker = fleet.worker().await;
    let reports = fleet.name("reports");
    fleet.channel.exchange_delete(reports.as_str().into(), ExchangeDeleteOptions::default()).await.unwrap();
    let id = fleet.send(&repository.message(json!({}))).await;
    worker.says("a report waits in the outbox").await;
    fleet.declare().await;
    assert_eq!(fleet.report(&id).await["outcome"], "succeeded");
    worker.signal("TERM");
    assert_eq!(worker.end().await, Some(0), "{}", worker.log());
    fleet.until_waiting("builds.interactive", 0).await;
    fleet.no_more_reports().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_another_worker_sends_holds_up_nobody() {
    let mut fleet = Fleet::new(&[("WORKER__LANES", "{ interactive = 1, bulk = 0 }")]).await;
    let repository = Repository::script("true\n");
    let worker = fleet.worker().await;
    let reports = fleet.name("reports");
    fleet.channel.exchange_delete(reports.as_str().into(), ExchangeDeleteOptions::default()).await.unwrap();
    fleet.send(&repository.message(json!({}))).await;
    worker.says("a report waits in the outbox").await;
    // As a second worker with the same directory does: takes the report, and notes that the broker has it.
    let limits = OutboxLimits { entries: 10, bytes: 1 << 20 };
    let outbox = Outbox::open(&fleet.state().join("worker/worker.db"), limits).await.unwrap();
    let taken = loop {
        if let Some(taken) = outbox.next().await.unwrap() {
            break taken;
        }
        tokio::task::yield_now().await;
    };
    outbox.done(taken.id).await.unwrap();
    // The request is done with, and its place is free.
    fleet.declare().await;
    let id = fleet.send(&repository.message(json!({}))).await;
    assert_eq!(fleet.report(&id).await["outcome"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_may_have_the_answer_sent_to_a_queue_of_its_own() {
    let mut fleet = Fleet::new(&[]).await;
    let repository = Repository::script("true\n");
    let _worker = fleet.worker().await;
    let mut answers = fleet.answers().await;
    let message = repository.message(json!({}));
    let id = message["id"].as_str().unwrap().to_owned();
    let asked = properties(&id).with_correlation_id("c-1".into()).with_reply_to(answers.queue());
    fleet.send_raw(message.to_string().as_bytes(), asked).await;
    let answer = next(&mut answers, fleet.patience).await;
    assert_eq!(json_of(&answer)["id"], json!(id));
    assert_eq!(answer.properties.correlation_id().as_ref().map(ToString::to_string).as_deref(), Some("c-1"));
    assert_eq!(fleet.report(&id).await, json_of(&answer));
    // A queue that has gone keeps nobody waiting.
    let message = repository.message(json!({}));
    let id = message["id"].as_str().unwrap().to_owned();
    fleet.send_raw(message.to_string().as_bytes(), properties(&id).with_reply_to("gone".into())).await;
    assert_eq!(fleet.report(&id).await["outcome"], "succeeded");
    // One of Slipway's own would read a report as something else.
    let message = repository.message(json!({}));
    let id = message["id"].as_str().unwrap().to_owned();
    let control = fleet.name("control");
    fleet.send_raw(message.to_string().as_bytes(), properties(&id).with_reply_to(control.as_str().into())).await;
    let report = fleet.report(&id).await;
    assert_eq!((&report["outcome"], &report["failure"]["places"][0]["path"]), (&json!("rejected"), &json!("reply_to")));
    fleet.until_waiting("builds.interactive", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_refuses_its_answer_holds_up_nobody() {
    let mut fleet = Fleet::new(&[("WORKER__LANES", "{ interactive = 1, bulk = 0 }")]).await;
    let repository = Repository::script("true\n");
    let worker = fleet.worker().await;
    let full = fleet.full().await;
    let message = repository.message(json!({}));
    let id = message["id"].as_str().unwrap().to_owned();
    fleet.send_raw(message.to_string().as_bytes(), properties(&id).with_reply_to(full.as_str().into())).await;
    assert_eq!(fleet.report(&id).await["outcome"], "succeeded");
    worker.says("a report waits in the outbox").await;
    // While the copy waits, others go on: the request is done with, and further ones are reported.
    for _ in 0..2 {
        let id = fleet.send(&repository.message(json!({}))).await;
        assert_eq!(fleet.report(&id).await["outcome"], "succeeded");
    }
    fleet.until_waiting("builds.interactive", 0).await;
    // As soon as there is room, it has its copy.
    assert!(!worker.log().contains("is given up"), "{}", worker.log());
    let mut answers = fleet.read(&full).await;
    assert_eq!(next(&mut answers, fleet.patience).await.data, b"first");
    assert_eq!(json_of(&next(&mut answers, fleet.patience).await)["id"], json!(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_holds_for_the_next_build_and_a_broken_one_changes_nothing() {
    let mut fleet = Fleet::new(&[]).await;
    let (endless, short) = (Repository::script("sleep 600\n"), Repository::script("true\n"));
    let worker = fleet.worker().await;
    let path = fleet.slipway.config();
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{good}\nno = such\n")).unwrap();
    worker.signal("HUP");
    worker.says("the configuration is broken, and the old one stays").await;
    let line = good.lines().count() + 2;
    worker.says(&format!("at=\"{}:{line}\"", path.display())).await;
    let id = fleet.send(&short.message(json!({}))).await;
    assert_eq!(fleet.report(&id).await["outcome"], "succeeded");
    // What a start would refuse is refused here as well.
    std::fs::write(&path, good.replace("[limits]", "[limits]\ntimeout = \"29m\"")).unwrap();
    worker.signal("HUP");
    worker.says("such a build would begin again and again").await;
    assert!(!worker.log().contains("the configuration was read again"), "{}", worker.log());
    let changed = good.replace("[limits]", "[limits]\ntimeout = \"2s\"");
    let changed = changed.replace("name = \"tester\"", "name = \"other\"");
    std::fs::write(&path, format!("{changed}[logs]\nkeep = \"1d\"\n")).unwrap();
    worker.signal("HUP");
    worker.says("the configuration was read again").await;
    worker.says("`logs`, `worker.name` changed since the start, which only a restart picks up").await;
    let id = fleet.send(&endless.message(json!({}))).await;
    let report = fleet.report(&id).await;
    assert_eq!((&report["outcome"], &report["failure"]["code"]), (&json!("timed_out"), &json!("timed_out")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_away_keeps_no_configuration_from_being_read() {
    let mut fleet = Fleet::undeclared(&[("BUILD__RUNNER", "container")]).await;
    let socket = fleet.state().join("engine");
    std::os::unix::fs::symlink("/var/run/docker.sock", &socket).unwrap();
    fleet.slipway.set("DOCKER_HOST", &format!("unix://{}", socket.display()));
    fleet.declare().await;
    let worker = fleet.worker().await;
    std::fs::remove_file(socket).unwrap();
    let path = fleet.slipway.config();
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replace("[limits]", "[limits]\ntimeout = \"2s\"")).unwrap();
    worker.signal("HUP");
    worker.says("the configuration was read again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_password_counts_from_the_next_build() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "of-last-year").unwrap();
    let (user, host) = (service("SLIPWAY_TEST_USER"), host_of("SLIPWAY_TEST_GIT_PRIVATE"));
    let credentials =
        format!("{{ username = {user:?}, password = {{ file = {:?} }}, hosts = [{host:?}] }}", secret.path());
    let allow = format!("[\"{}/\"]", service("SLIPWAY_TEST_GIT_PRIVATE"));
    let mut fleet = Fleet::new(&[("CREDENTIALS__GIT", &credentials), ("SOURCES__ALLOW", &allow)]).await;
    let repository = Published::new("private", &[("build.sh", "true\n")]);
    let worker = fleet.worker().await;
    let message = || {
        let application = json!({ "product_line": PRODUCT_LINE, "name": "shop", "kind": "library" });
        let source = json!({
            "url": repository.url("SLIPWAY_TEST_GIT_PRIVATE"),
            "revision": "main",
            "credentials": "git",
        });
        json!({ "version": 1, "id": uuid::Uuid::now_v7().to_string(), "source": source, "application": application })
    };
    let id = fleet.send(&message()).await;
    assert_eq!(fleet.report(&id).await["failure"]["code"], "source_unauthorized");
    std::fs::write(secret.path(), service("SLIPWAY_TEST_PASSWORD")).unwrap();
    worker.signal("HUP");
    worker.says("the configuration was read again").await;
    let id = fleet.send(&message()).await;
    let report = fleet.report(&id).await;
    assert_eq!(report["outcome"], "succeeded", "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_queue_is_followed_when_it_is_there_again() {
    let mut fleet = Fleet::new(&[]).await;
    let repository = Repository::script("true\n");
    let worker = fleet.worker().await;
    let queue = fleet.name("builds.interactive");
    fleet.channel.queue_delete(queue.as_str().into(), lapin::options::QueueDeleteOptions::default()).await.unwrap();
    worker.says("the session with the broker ended").await;
    fleet.declare().await;
    let id = fleet.send(&repository.message(json!({}))).await;
    assert_eq!(fleet.report(&id).await["outcome"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_reported_and_not_set_aside_is_set_aside_by_the_next_worker() {
    let mut fleet = Fleet::new(&[]).await;
    let _worker = fleet.worker().await;
    // The second time is that of a worker that finds the report in the ledger: the one before it died in between.
    for _ in 0..2 {
        fleet.send_raw(b"not a message", properties("poison")).await;
        assert_eq!(fleet.report("poison").await["outcome"], "rejected");
        fleet.until_waiting("dead", 1).await;
        assert_eq!(fleet.get("dead").await.unwrap().data, b"not a message");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_are_shown_and_dropped() {
    let mut fleet = Fleet::new(&[]).await;
    let _worker = fleet.worker().await;
    fleet.send_raw(b"not a message", properties("poison")).await;
    fleet.report("poison").await;
    fleet.until_waiting("dead", 1).await;
    let dead = |args: &[&str]| {
        fleet.slipway.command(&[&["dead"], args].concat().iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(dead(&["show", "poison"]).output().await.unwrap().stdout, b"not a message");
    let refused = dead(&["requeue", "poison"]).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(dead(&["drop", "nobody"]).output().await.unwrap().status.code(), Some(1));
    fleet.until_waiting("dead", 1).await;
    let message = fleet.get("dead").await.unwrap();
    assert!(header(&message, "slipway-reason").starts_with("request_invalid: "));
}
