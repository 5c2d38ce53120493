//! What a real Harbor answered, asked of the one for tests: status, error code, message and the headers that matter.

use std::collections::BTreeMap;

use super::replay::Replay;

/// What the Harbor for tests deliberately does not imitate, by the beginning of the record's id, and why.
const NOT_IMITATED: &[(&str, &str)] = &[
    ("api-gzip", "compression of answers"),
    ("artifact-config-empty-object", "icons and additions of artifacts"),
    ("config-get", "reading the configuration"),
    ("gc-", "garbage collection"),
    ("permissions", "the list of all rights there are"),
    ("project-logs", "the audit log"),
    ("project-scanner", "registrations of scanners"),
    ("registry-endpoint-create", "replication endpoints"),
    ("scan-log-missing", "logs of scans"),
    ("scanner", "registrations of scanners"),
    ("search-robot", "the search"),
    ("statistics-robot", "statistics"),
    ("systeminfo-volumes-admin", "volumes"),
    ("user-create", "people"),
    ("webhook-", "webhook policies"),
    ("proxy-413", "the limit of bodies of a proxy in front"),
    ("addition-build-history", "the build history"),
];

fn not_imitated(id: &str) -> Option<&'static str> {
    NOT_IMITATED.iter().find(|(start, _)| id.starts_with(start)).map(|(_, why)| *why)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_harbor_for_tests_answers_as_the_real_one() {
    let mut replay = Replay::start();
    let mut differing = Vec::new();
    let (mut same, mut left_out) = (0, BTreeMap::<&str, usize>::new());
    let records = Replay::records();
    for record in &records {
        let id = record["id"].as_str().unwrap();
        let difference = replay.ask(record).await;
        match (not_imitated(id), difference) {
            (Some(why), _) => *left_out.entry(why).or_default() += 1,
            (None, None) => same += 1,
            (None, Some(difference)) => differing.push(format!("{id}: {difference}")),
        }
    }
    eprintln!(
        "{} records: {same} answered alike, {} not imitated {left_out:?}",
        records.len(),
        records.len() - same - differing.len()
    );
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
    assert_eq!(records.len(), 688);
}
