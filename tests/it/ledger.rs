//! The ledger and the outbox under `kill -9`: what a writer was told holds, and what it was not told is whole or absent.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use slipway::report::{Entry, Ledger, Outbox, OutboxLimits, Put};

const WRITER: &str = "ledger::a_writer_finds_what_it_wrote";
const LIMITS: OutboxLimits = OutboxLimits { entries: 1_000_000, bytes: 1 << 30 };

/// Answers that a writer gets before it is killed; each round another number.
const ANSWERS: [usize; 8] = [1, 2, 3, 7, 19, 40, 61, 90];

fn report(id: &str) -> String {
    format!("{{\"id\":\"{id}\",\"padding\":\"{}\"}}", "x".repeat(3000))
}

fn entry(id: &str) -> Entry {
    Entry {
        build: id.to_owned(),
        exchange: String::new(),
        routing_key: "answers".to_owned(),
        correlation_id: Some(id.to_owned()),
        body: report(id).into(),
    }
}

async fn write(ledger: &Ledger, outbox: &Outbox, id: &str) {
    assert!(ledger.record(id, "hash", 1, &report(id)).await.unwrap());
    assert_eq!(outbox.put(&entry(id)).await.unwrap(), Put::Stored);
}

/// The writer of the tests below when they start this program again, and a short test of its own.
#[tokio::test]
async fn a_writer_finds_what_it_wrote() {
    let Ok(name) = std::env::var("SLIPWAY_TEST_WRITER") else {
        let directory = tempfile::tempdir().unwrap();
        let (ledger, outbox) = open(directory.path()).await;
        write(&ledger, &outbox, "b1").await;
        let found = ledger.finished("b1").await.unwrap().unwrap();
        assert_eq!((found.report_json, found.attempt), (report("b1"), 1));
        return;
    };
    let (ledger, outbox) = open(Path::new(&std::env::var("SLIPWAY_TEST_STATE").unwrap())).await;
    for number in 0.. {
        let id = format!("{name}-{number}");
        write(&ledger, &outbox, &id).await;
        println!("\nwrote {id}");
    }
}

async fn open(directory: &Path) -> (Ledger, Outbox) {
    let path = directory.join("worker.db");
    (Ledger::open(&path).await.unwrap(), Outbox::open(&path, LIMITS).await.unwrap())
}

fn start(state: &Path, name: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", WRITER, "--nocapture"])
        .envs([("SLIPWAY_TEST_WRITER", name), ("SLIPWAY_TEST_STATE", state.to_str().unwrap())])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reads answers, kills the writer, reads the rest of what it said.
fn kill_after(mut writer: Child, answers: usize) -> Vec<String> {
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut ids = lines.filter_map(|line| line.strip_prefix("wrote ").map(str::to_owned));
    let mut told: Vec<String> = ids.by_ref().take(answers).collect();
    writer.kill().unwrap();
    writer.wait().unwrap();
    told.extend(ids);
    assert!(told.len() >= answers, "the writer ended by itself after {} answers", told.len());
    told
}

async fn check(state: &Path, told: &[String]) {
    let (ledger, outbox) = open(state).await;
    for id in told {
        let found = ledger.finished(id).await.unwrap().unwrap_or_else(|| panic!("`{id}` is not in the ledger"));
        assert_eq!(found.report_json, report(id), "`{id}`");
    }
    let mut waiting = BTreeSet::new();
    while let Some(taken) = outbox.next().await.unwrap() {
        assert_eq!(taken.entry, entry(&taken.entry.build));
        waiting.insert(taken.entry.build);
        outbox.done(taken.id).await.unwrap();
    }
    for id in told {
        assert!(waiting.contains(id), "`{id}` is not in the outbox");
    }
    assert!(outbox.is_empty().await.unwrap());
}

#[tokio::test]
async fn a_killed_writer_leaves_what_it_was_told() {
    let directory = tempfile::tempdir().unwrap();
    for (round, answers) in ANSWERS.into_iter().enumerate() {
        let told = kill_after(start(directory.path(), &format!("r{round}")), answers);
        check(directory.path(), &told).await;
    }
}

#[tokio::test]
async fn several_writers_share_one_file() {
    let directory = tempfile::tempdir().unwrap();
    // All three find no file and make it, together.
    let writers: Vec<Child> = ["one", "two", "three"].map(|name| start(directory.path(), name)).into();
    let told: Vec<String> = writers.into_iter().flat_map(|writer| kill_after(writer, 30)).collect();
    check(directory.path(), &told).await;
}
