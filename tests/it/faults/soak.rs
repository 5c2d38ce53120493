//! Many small builds with random faults, for as long as somebody has: `make soak`.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;

use super::broker::Broker;
use super::broker_fails::{cut_off, fill_reports};
use super::case::{Case, Extra, PATIENCE, case};
use super::proxy::{Fault, Rule};

/// How many builds; `SLIPWAY_SOAK` says otherwise.
const BUILDS: usize = 20;

/// What the random choices begin with; `SLIPWAY_SOAK_SEED` says otherwise.
const SEED: u64 = 4711;

/// Builds on their way at a time, at most.
const AT_ONCE: usize = 4;

/// One of so many builds meets a fault of its own.
const FAULTY: f64 = 0.4;

/// How long something lasts that passes by itself.
const SPELL: Duration = Duration::from_secs(3);

/// A message that its workers died of is reported only after some deliveries, and each of those may be tried again.
const LONGEST: Duration = Duration::from_mins(4);

/// What may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    WorkerKilled,
    WorkerStands,
    WorkerReplaced,
    BrokerKilled,
    BrokerRestarted,
    BrokerCutOff,
    BrokerAlarmed,
    ReportsFull,
    EngineKilled,
    EngineRestarted,
    RegistryKilled,
    RegistryUnwell,
    RegistryCuts,
    RegistryLimits,
    RegistryRefuses,
    RegistryHangs,
    GitUnwell,
    GitStalls,
    Poison,
    SentTwice,
    Cancelled,
}

const ALL: [Trouble; 21] = [
    Trouble::WorkerKilled,
    Trouble::WorkerStands,
    Trouble::WorkerReplaced,
    Trouble::BrokerKilled,
    Trouble::BrokerRestarted,
    Trouble::BrokerCutOff,
    Trouble::BrokerAlarmed,
    Trouble::ReportsFull,
    Trouble::EngineKilled,
    Trouble::EngineRestarted,
    Trouble::RegistryKilled,
    Trouble::RegistryUnwell,
    Trouble::RegistryCuts,
    Trouble::RegistryLimits,
    Trouble::RegistryRefuses,
    Trouble::RegistryHangs,
    Trouble::GitUnwell,
    Trouble::GitStalls,
    Trouble::Poison,
    Trouble::SentTwice,
    Trouble::Cancelled,
];

#[test]
#[ignore = "long: many builds with random faults; `make soak` has more of them"]
fn many_builds_meet_random_faults() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let builds = number("SLIPWAY_SOAK").and_then(|builds| usize::try_from(builds).ok()).unwrap_or(BUILDS);
    let seed = number("SLIPWAY_SOAK_SEED").unwrap_or(SEED);
    case("soak", seed, async move |case| soak(case, builds).await);
}

async fn soak(case: &mut Case, builds: usize) {
    let (mut sent, mut troubles) = (Vec::new(), BTreeMap::<Trouble, usize>::new());
    for number in 0..builds {
        let id = small_build(case).await;
        sent.push(id.clone());
        if case.random.random_bool(FAULTY) {
            let trouble = *ALL.choose(&mut case.random).expect("there is trouble");
            let moment = case.moment(Duration::from_secs(3));
            tokio::time::sleep(moment).await;
            case.say(&format!("{number}: {trouble:?} after {moment:?}: {}", case.position(&id)));
            *troubles.entry(trouble).or_default() += 1;
            happen(case, trouble, &id).await;
        }
        if sent.len() >= AT_ONCE {
            reported(case, &sent[sent.len() - AT_ONCE]).await;
        }
    }
    for id in &sent {
        reported(case, id).await;
    }
    let inbox = case.mailbox.inbox();
    let reports: Vec<_> = sent.iter().filter_map(|id| inbox.reports.get(id)).collect();
    let extra: usize = reports.iter().map(|reports| reports.len() - 1).sum();
    let mut outcomes = BTreeMap::<String, usize>::new();
    for first in reports.iter().filter_map(|reports| reports.first()) {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let outcome = format!("{} {}", text(&first["outcome"]), text(&first["failure"]["code"]));
        *outcomes.entry(outcome.trim().to_owned()).or_default() += 1;
    }
    // What is left behind is looked for when the case ends, and fails it.
    println!("soak: sent {}, reported {}, reported again {extra}", sent.len(), reports.len());
    println!("soak: outcomes {outcomes:?}");
    println!("soak: faults {troubles:?}");
}

async fn reported(case: &Case, id: &str) {
    let report = case.mailbox.report(id, LONGEST).await;
    report.unwrap_or_else(|error| panic!("{error}\n{}", case.worker_log()));
}

/// A build with so little content that hundreds fit on small disks.
async fn small_build(case: &mut Case) -> String {
    let name = format!("soak-{}", case.random.random::<u32>());
    let payload: Vec<u8> = (0..4096).map(|_| case.random.random()).collect();
    let script = format!("sleep {}; cp payload /output/", case.random.random_range(0..2));
    let commit = case.git.publish(&name, &[("build.sh", script.as_bytes()), ("payload", &payload)]);
    let request = case.request(&name, &commit);
    case.send(&request, Extra::Allowed).await
}

async fn happen(case: &mut Case, trouble: Trouble, id: &str) {
    match trouble {
        Trouble::WorkerKilled => {
            case.worker.take().kill();
            case.restart_worker().await;
        }
        Trouble::WorkerStands => {
            case.worker.program().freeze();
            tokio::time::sleep(SPELL).await;
            case.worker.program().thaw();
        }
        Trouble::WorkerReplaced => {
            let code = case.worker.take().terminate(super::worker::GRACE + Duration::from_secs(20));
            assert_eq!(code, Some(0));
            case.restart_worker().await;
        }
        Trouble::BrokerKilled | Trouble::BrokerRestarted => {
            let parts = &mut **case;
            if trouble == Trouble::BrokerKilled {
                parts.broker.kill();
            } else {
                parts.broker.stop();
            }
            parts.broker.start(&parts.namespace);
            parts.worker.ready(PATIENCE).await.unwrap();
        }
        Trouble::BrokerCutOff => {
            cut_off(case, true);
            tokio::time::sleep(SPELL).await;
            cut_off(case, false);
        }
        Trouble::BrokerAlarmed => {
            Broker::control(&case.namespace, &["set_vm_memory_high_watermark", "0.0000001"]);
            tokio::time::sleep(SPELL).await;
            Broker::control(&case.namespace, &["set_vm_memory_high_watermark", "0.4"]);
        }
        Trouble::ReportsFull => {
            fill_reports(case, true);
            tokio::time::sleep(SPELL).await;
            fill_reports(case, false);
        }
        Trouble::EngineKilled | Trouble::EngineRestarted => {
            let parts = &mut **case;
            if trouble == Trouble::EngineKilled {
                parts.engine.kill();
            } else {
                parts.engine.stop();
            }
            parts.engine.start(&parts.namespace);
        }
        Trouble::RegistryKilled => {
            let parts = &mut **case;
            parts.registry.kill();
            parts.registry.start(&parts.namespace);
        }
        Trouble::RegistryUnwell => {
            case.registry_proxy.add(Rule::always(&["/v2/"], Fault::Answer(503, "")).during(Duration::from_secs(5)));
        }
        Trouble::RegistryCuts => {
            case.registry_proxy.add(Rule::always(&["PATCH", "/blobs/uploads/"], Fault::Cut(1000)).times(0, 1));
        }
        Trouble::RegistryLimits => {
            let fault = Fault::Answer(429, "Retry-After: 1\r\n");
            case.registry_proxy.add(Rule::always(&["/blobs/uploads/"], fault).times(0, 2));
        }
        Trouble::RegistryRefuses => {
            let fault = Fault::Answer(401, "WWW-Authenticate: Basic realm=\"faults\"\r\n");
            case.registry_proxy.add(Rule::always(&["PUT", "/manifests/"], fault).times(0, 1));
        }
        Trouble::RegistryHangs => {
            case.registry_proxy.add(Rule::always(&["/blobs/uploads/"], Fault::Late(3 * SPELL)).times(0, 1));
        }
        Trouble::GitUnwell => {
            case.git_proxy.add(Rule::always(&[], Fault::Answer(502, "")).during(Duration::from_secs(2)));
        }
        Trouble::GitStalls => {
            case.git_proxy.add(Rule::always(&["git-upload-pack"], Fault::Late(SPELL)).times(0, 1));
        }
        Trouble::Poison => {
            let poison = format!("poison-{}", case.random.random::<u32>());
            case.send_poison(b"{", &poison, Extra::Allowed).await;
        }
        Trouble::SentTwice => case.send_again(id).await,
        Trouble::Cancelled => drop(case.worker.slipway(&case.namespace, &["cancel", id]).unwrap()),
    }
}
