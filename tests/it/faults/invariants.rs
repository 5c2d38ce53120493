//! What holds after every case, whatever happened in it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::broker::Broker;
use super::case::{Case, Extra, PATIENCE};
use super::registry;
use super::worker::{PRODUCT_LINE, REGISTRY_HOST};

/// How long after a build's end its traces may be there.
const TIDY: Duration = Duration::from_secs(5);

/// How long the broker may say that a message is held which is not: it counts every five seconds.
const COUNTED: Duration = Duration::from_secs(12);

/// Looks at everything, and says what is wrong.
pub(super) async fn check(case: &mut Case, sent: &BTreeMap<String, Extra>) -> Vec<String> {
    let mut wrong = Vec::new();
    for id in sent.keys() {
        wrong.extend(case.mailbox.report(id, PATIENCE).await.err());
    }
    wrong.extend(case.worker.ready(PATIENCE).await.err());
    let left = emptied(TIDY, || traces(case)).await;
    wrong.extend(left.into_iter().map(|left| format!("left behind: {left}")));
    let held = emptied(COUNTED, || Broker::unfinished(&case.namespace)).await;
    wrong.extend(held.into_iter().map(|queue| format!("not done with: {queue}")));

    let reports: Vec<(String, Vec<Value>)> = case.mailbox.inbox().reports.clone().into_iter().collect();
    for (id, reports) in reports {
        let extra = reports.len() - 1;
        if extra > 0 {
            case.say(&format!("{id} was reported {extra} times more than once"));
        }
        if extra > 0 && sent.get(&id) != Some(&Extra::Allowed) {
            wrong.push(format!("{id} has {} reports", reports.len()));
        }
        for report in &reports {
            wrong.extend(unreadable_images(report).await);
        }
    }
    // Whether it was reported or not, and however its build ended: what has a tag can be pulled.
    for id in sent.keys() {
        wrong.extend(registry::half_pushed(&format!("{REGISTRY_HOST}/{PRODUCT_LINE}/order:{id}")).await);
    }
    wrong
}

/// What is still found after so long.
async fn emptied(patience: Duration, mut find: impl FnMut() -> Vec<String>) -> Vec<String> {
    let deadline = Instant::now() + patience;
    loop {
        // The last look begins when the time is over.
        let last = Instant::now() >= deadline;
        let found = find();
        if found.is_empty() || last {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Traces of builds on the machine.
fn traces(case: &Case) -> Vec<String> {
    let namespace = &case.namespace;
    let mut found = case.engine.leftovers(namespace);
    // Processes of the scripts, wherever their containers are.
    let scripts = "grep -lsaz '^build[.]sh$' /proc/[0-9]*/cmdline || true";
    found.extend(namespace.run(&["sh", "-c", scripts], &[]).lines().map(str::to_owned));
    for cache in [case.worker.cache(), case.neighbour.cache()].map(|path| path.display().to_string()) {
        // Workspaces, scratch directories of the sandbox, locks of Git's own and half-made mirrors.
        let search = format!(
            "cd {cache} && {{ find workspaces sandbox -mindepth 1 -maxdepth 1 ! -name 'passwd*' 2>/dev/null; \
             find . -name '*.lock' ! -name .slipway-lock 2>/dev/null; \
             find . -name 'tmp_*' 2>/dev/null; grep -F \" {cache}/\" /proc/self/mounts; true; }}"
        );
        found.extend(namespace.run(&["sh", "-c", &search], &[]).lines().map(str::to_owned));
    }
    found
}

async fn unreadable_images(report: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    if report["image"]["pushed"] == true {
        for reference in report["image"]["references"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if let Err(why) = registry::unreadable(reference).await {
                wrong.push(format!("{reference} cannot be read: {why}"));
            }
        }
    }
    wrong
}
