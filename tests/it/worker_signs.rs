//! What workers show of themselves, and messages that say less of themselves than they should.

use lapin::BasicProperties;
use serde_json::{Value, json};

use crate::support::fleet::{Fleet, Repository, Worker, properties};

/// A worker that writes JSON and answers on a port of its own.
async fn telling(fleet: &Fleet) -> Worker {
    let worker = fleet.worker_as(&fleet.slipway, &[("PROBES__LISTEN", "127.0.0.1:0")]).await;
    worker.says("probes answer").await;
    worker
}

async fn fleet() -> Fleet {
    let mut fleet = Fleet::new(&[("AMQP__DELIVERY_LIMIT", "1")]).await;
    fleet.slipway.set("SLIPWAY_LOG_FORMAT", "json");
    fleet
}

/// The lines of a worker's log.
fn lines(worker: &Worker) -> Vec<Value> {
    worker.log().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

/// The figures that a worker shows.
async fn figures(worker: &Worker) -> String {
    let lines = lines(worker);
    let address = lines.iter().find(|line| line["message"] == "probes answer").unwrap()["address"].as_str().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_build_have_its_id_and_figures_count_it() {
    let mut fleet = fleet().await;
    let (repository, endless) = (Repository::script("true\n"), Repository::script("echo begun\nsleep 20\n"));
    // A build that kills its workers, and a message that is none.
    let killer = fleet.send(&endless.message(json!({}))).await;
    for _ in 0..2 {
        let mut worker = fleet.worker().await;
        fleet.event(&killer, |event| event["kind"] == "log").await;
        worker.child.kill().await.unwrap();
    }
    let worker = telling(&fleet).await;
    assert_eq!(fleet.report(&killer).await["failure"]["code"], "worker_killed");
    fleet.send_raw(b"poison", properties("poison")).await;
    fleet.report("poison").await;
    // One that says when it was sent, and one that does not.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let message = repository.message(json!({}));
    let id = message["id"].as_str().unwrap();
    let sent = properties(id).with_timestamp(now - 60);
    fleet.send_raw(message.to_string().as_bytes(), sent).await;
    assert_eq!(fleet.report(id).await["outcome"], "succeeded");
    let untimed = fleet.send(&repository.message(json!({}))).await;
    fleet.report(&untimed).await;
    let text = figures(&worker).await;
    for line in [
        "slipway_builds_total{outcome=\"failed\",blame=\"service\",code=\"worker_killed\"} 1",
        "slipway_builds_total{outcome=\"rejected\",blame=\"request\",code=\"request_invalid\"} 1",
        "slipway_builds_total{outcome=\"succeeded\",blame=\"\",code=\"\"} 2",
        "slipway_queue_wait_seconds_count 1",
        "slipway_queue_wait_seconds_bucket{le=\"30.0\"} 0",
    ] {
        assert!(text.lines().any(|there| there == line), "{line}\n{text}");
    }
    let lines = lines(&worker);
    for (message, id) in [
        ("the build ended", id),
        ("a message was reported and lies in the dead queue", "poison"),
        ("a message was reported and lies in the dead queue", &killer),
    ] {
        let said = |line: &&Value| line["message"] == message && line["span"]["build_id"] == *id;
        assert!(lines.iter().any(|line| said(&line)), "{message} {id}: {lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_an_identity_has_that_of_its_body() {
    let mut fleet = fleet().await;
    let repository = Repository::script("true\n");
    let worker = telling(&fleet).await;
    let message = repository.message(json!({}));
    let id = message["id"].as_str().unwrap();
    fleet.send_raw(message.to_string().as_bytes(), BasicProperties::default()).await;
    assert_eq!(fleet.report(id).await["outcome"], "succeeded");
    let ended = lines(&worker).into_iter().find(|line| line["message"] == "the build ended").unwrap();
    assert_eq!(ended["span"]["build_id"], id, "{ended:#}");
    // What cannot be read is found by the id in its report: the body's own, or one for the body.
    let other = repository.message(json!({ "id": "without", "surprise": 1 })).to_string();
    for body in [other.as_bytes(), b"not a message"] {
        fleet.send_raw(body, BasicProperties::default()).await;
        let report = fleet.next_report().await;
        let id = report["id"].as_str().unwrap();
        fleet.until_waiting("dead", 1).await;
        let dead = async |args: &[&str]| {
            let args: Vec<_> = ["dead"].iter().chain(args).map(ToString::to_string).collect();
            fleet.slipway.command(&args).output().await.unwrap()
        };
        let listed: Value = serde_json::from_slice(&dead(&["list", "--format", "json"]).await.stdout).unwrap();
        assert_eq!((&listed["messages"][0]["id"], &listed["messages"][0]["lane"]), (&json!(id), &json!("interactive")));
        assert_eq!(dead(&["show", id]).await.stdout, body);
        assert!(dead(&["drop", id]).await.status.success());
        fleet.until_waiting("dead", 0).await;
    }
}
