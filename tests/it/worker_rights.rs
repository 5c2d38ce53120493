//! Programs with accounts at the broker that may do what the operating guide says, and no more.

use std::process::Output;

use serde_json::{Value, json};

use crate::services::service;
use crate::support::account::Account;
use crate::support::fleet::{Fleet, Repository, properties};

/// The broker's address, as credentials name it.
fn host() -> String {
    let url = url::Url::parse(service("SLIPWAY_TEST_AMQP")).unwrap();
    format!("{}:{}", url.host_str().unwrap(), url.port().unwrap())
}

/// Runs the program with an account.
async fn run(fleet: &Fleet, account: &Account, args: &[&str]) -> Output {
    let mut command = fleet.slipway.command(&args.iter().map(ToString::to_string).collect::<Vec<_>>());
    command.env("SLIPWAY__CREDENTIALS__BROKER", account.credentials(fleet, &host()));
    command.output().await.unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_does_their_work_with_the_rights_of_the_guide() {
    let mut fleet = Fleet::undeclared(&[]).await;
    let operator = Account::documented("operator: `slipway queues`, `dead`, `cancel`", &fleet);
    for verb in ["declare", "check"] {
        let done = run(&fleet, &operator, &["queues", verb]).await;
        assert!(done.status.success(), "{}", text(&done));
    }
    fleet.declare().await;
    let account = Account::documented("worker", &fleet);
    let credentials = account.credentials(&fleet, &host());
    let worker = fleet.worker_as(&fleet.slipway, &[("CREDENTIALS__BROKER", &credentials)]).await;
    // A worker tries again, reports, answers, and sets aside.
    let passing = Repository::script("echo 'Could not transfer artifact: Connection refused'; exit 1\n");
    let id = fleet.send(&passing.message(json!({}))).await;
    assert_eq!(fleet.report(&id).await["attempt"], 3);
    fleet.send_raw(b"poison", properties("poison")).await;
    assert_eq!(fleet.report("poison").await["outcome"], "rejected");
    fleet.until_waiting("dead", 1).await;
    let dropped = run(&fleet, &operator, &["dead", "drop", "poison"]).await;
    assert!(dropped.status.success(), "{}", text(&dropped));
    fleet.until_waiting("dead", 0).await;
    // Who asks, by hand and by a program.
    let short = Repository::script("true\n");
    let file = fleet.state().join("message.json");
    std::fs::write(&file, short.message(json!({ "supersede": "main" })).to_string()).unwrap();
    let submitter = Account::documented("`slipway submit`, `cancel`", &fleet);
    let built = run(&fleet, &submitter, &["submit", file.to_str().unwrap(), "--wait", "--format", "json"]).await;
    assert!(built.status.success() && !text(&built).contains("warning"), "{}", text(&built));
    let cancelled = run(&fleet, &submitter, &["cancel", "nobody"]).await;
    assert!(cancelled.status.success(), "{}", text(&cancelled));
    let publisher = Account::documented("publish service", &fleet);
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/publish-service/publish.py");
    std::fs::write(&file, short.message(json!({ "supersede": "main" })).to_string()).unwrap();
    let asked = tokio::process::Command::new("/usr/bin/python3")
        .arg(program)
        .envs([("AMQP_URL", publisher.url()), ("SLIPWAY_PREFIX", fleet.prefix.clone())])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .await
        .unwrap();
    assert!(asked.status.success(), "{}", text(&asked));
    let report: Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert_eq!(report["outcome"], "succeeded");
    assert!(!worker.log().contains("ACCESS_REFUSED"), "{}", worker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_a_right_is_told_which() {
    let fleet = Fleet::new(&[]).await;
    // Whoever may not configure a queue is not shown its shape.
    let account = Account::new(["^$", ".*", ".*"]);
    let refused = run(&fleet, &account, &["worker"]).await;
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    let said = text(&refused);
    assert!(said.contains("has no right to the exchange") && said.contains("set_permissions"), "{said}");
    account.may([".*", "^$", ".*"]);
    let file = fleet.state().join("message.json");
    let message = Repository::script("true\n").message(json!({}));
    std::fs::write(&file, message.to_string()).unwrap();
    let refused = run(&fleet, &account, &["submit", file.to_str().unwrap()]).await;
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains("ACCESS_REFUSED"), "{}", text(&refused));
}
