//! The headers of an answer, compared with those that were recorded: what is of one run alone (hosts, sessions, states,
//! numbers) by its form, everything else by its value.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::header::HeaderMap;
use serde_json::Value;

/// The host of the recording.
const RECORDED: &str = "harbor.example:18080";

/// Headers whose values clients go by.
const VALUES: [&str; 9] = [
    "content-type",
    "docker-content-digest",
    "docker-distribution-api-version",
    "etag",
    "link",
    "location",
    "oci-filters-applied",
    "oci-subject",
    "range",
];

/// Headers that have to be there and are never the same.
const PRESENT: [&str; 2] = ["docker-upload-uuid", "x-request-id"];

/// What the Harbor for tests deliberately answers otherwise: the record's id, the header, and why.
const OTHERWISE: &[(&str, &str, &str)] = &[
    ("projects-unauth", "x-total-count", COUNT),
    ("projects-list-robot-push", "x-total-count", COUNT),
    ("artifacts-list-robot-full", "x-total-count", COUNT),
    ("artifacts-with-att-sbom-tags", "x-total-count", COUNT),
    ("referrers-more-than-10", "x-total-count", COUNT),
    ("prevent-vul-referrers", "x-total-count", COUNT),
    ("catalog-admin-n2", "link", COUNT),
    ("chunk-hole-status-after", "range", SESSION),
    ("upload-status-fresh-state", "range", SESSION),
    ("blob-head-other-repo-same-project", "docker-distribution-api-version", REPOSITORY),
    ("retag-move-by-put-manifest", "docker-content-digest", IMAGE),
    ("retag-move-by-put-manifest", "location", IMAGE),
    ("manifest-put-after-delete-without-reupload", "docker-content-digest", IMAGE),
    ("manifest-put-after-delete-without-reupload", "location", IMAGE),
];

const COUNT: &str = "the recording had made more than it shows";
const SESSION: &str = "the session was begun, and fed, before the recording";
const REPOSITORY: &str = "whether the registry behind has heard of a repository that has no image";
const IMAGE: &str = "an image that was pushed before the recording, and is another here";

/// What differs, if anything does. `known` has what was recorded, and what it is in this run.
pub(super) fn differing(
    id: &str,
    expected: &Value,
    headers: &HeaderMap,
    (host, known): (&str, &BTreeMap<String, String>),
) -> Option<String> {
    let otherwise = |name: &str| OTHERWISE.iter().any(|(one, header, _)| id == *one && *header == name);
    let old = |name: &str| {
        let recorded = expected["headers"].as_object().unwrap().iter();
        let mut recorded = recorded.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        recorded.next().map(|(_, value)| value.as_str().unwrap().to_owned())
    };
    let new = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let said = |name: &str, old: String, new: String| (old != new).then(|| format!("{name}: `{new}`, was `{old}`"));
    let form = |text: Option<String>| text.map_or_else(|| "none".to_owned(), |text| form(&text, host, known));
    let mut found = Vec::new();
    for name in VALUES.iter().filter(|name| !otherwise(name)) {
        found.extend(said(name, form(old(name)), form(new(name))));
    }
    if !otherwise("www-authenticate") {
        let parts = |text: Option<String>| format!("{:?}", challenge(&form(text)));
        found.extend(said("www-authenticate", parts(old("www-authenticate")), parts(new("www-authenticate"))));
    }
    if !otherwise("set-cookie") {
        let name = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
        let sent: BTreeSet<String> =
            headers.get_all("set-cookie").iter().map(|value| name(value.to_str().unwrap())).collect();
        let was: BTreeSet<String> = old("set-cookie").iter().map(|value| name(value)).collect();
        found.extend(said("set-cookie", format!("{was:?}"), format!("{sent:?}")));
    }
    if !otherwise("x-total-count") {
        let count = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        found.extend(said("x-total-count", count(old("x-total-count")), count(new("x-total-count"))));
    }
    for name in PRESENT.iter().filter(|name| !otherwise(name)) {
        let there = |there: bool| if there { "there" } else { "none" }.to_owned();
        found.extend(said(name, there(old(name).is_some()), there(new(name).is_some())));
    }
    (!found.is_empty()).then(|| found.join("; "))
}

/// Scheme and parameters of a challenge, whatever their order.
fn challenge(text: &str) -> (String, BTreeSet<String>) {
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    // No value has a quote in it.
    let parameters = rest.split("\",").map(|one| one.trim().trim_end_matches('"').to_owned());
    (scheme.to_owned(), parameters.filter(|one| !one.is_empty()).collect())
}

/// What ends a part of a value.
const ENDS: [char; 10] = ['/', '?', '&', '=', ':', '"', '>', '<', ';', ','];

/// A value without what is of one run alone.
fn form(text: &str, host: &str, known: &BTreeMap<String, String>) -> String {
    let mut text = text.replace(RECORDED, "{host}").replace(host, "{host}").to_ascii_lowercase().replace("; ", ";");
    for (recorded, live) in known.iter().filter(|(recorded, _)| recorded.len() == 64) {
        text = text.replace(recorded.as_str(), live);
    }
    let mut out = String::new();
    let mut words = text.split_inclusive(ENDS);
    while let Some(word) = words.next() {
        let bare = word.trim_end_matches(ENDS);
        let end = &word[bare.len()..];
        if bare == "_state" {
            out.push_str("_state={state}");
            words.by_ref().for_each(drop);
        } else if uuid::Uuid::parse_str(bare).is_ok() {
            out.push_str("{session}");
            out.push_str(end);
        } else if is_digest(bare) && !known.values().any(|live| live == bare) {
            out.push_str("{digest}");
            out.push_str(end);
        } else {
            out.push_str(word);
        }
    }
    // The number of what the API has made.
    match out.rsplit_once('/') {
        Some((before, number)) if out.starts_with("/api/") && number.parse::<u64>().is_ok() => {
            format!("{before}/{{number}}")
        }
        _ => out,
    }
}

/// Whether it is the hexadecimal part of a digest.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
fn values_lose_only_what_is_of_one_run() {
    let (old, new) = ("a".repeat(64), "b".repeat(64));
    let known = BTreeMap::from([(old.clone(), new.clone())]);
    let form = |text: &str| form(text, "127.0.0.1:5", &known);
    let place = |host: &str, session: &str, state: &str| {
        form(&format!("http://{host}/v2/slip/app/blobs/uploads/{session}?_state={state}"))
    };
    let recorded = place(RECORDED, "bab6ed88-2d90-4f83-8936-6fd49ca6279e", "<state>");
    assert_eq!(recorded, place("127.0.0.1:5", "dad51ff1-ebcc-496c-981c-e239f3aa7b04", "Hq_x=&y"));
    assert_eq!(recorded, "http://{host}/v2/slip/app/blobs/uploads/{session}?_state={state}");
    assert_eq!(form(&format!("\"sha256:{old}\"")), form(&format!("\"sha256:{new}\"")));
    assert_ne!(form(&format!("sha256:{old}")), form(&format!("sha256:{}", "c".repeat(64))));
    // One that was not heard of before may be any.
    assert_eq!(form(&format!("sha256:{}", "d".repeat(64))), form(&format!("sha256:{}", "c".repeat(64))));
    assert_eq!(form("/api/v2.0/projects/7"), form("/api/v2.0/projects/12"));
    assert_ne!(form("text/plain"), form("text/plain; charset=utf-8"));
    let bearer = |more: &str| challenge(&form(&format!("Bearer realm=\"http://{RECORDED}/service/token\"{more}")));
    assert_eq!(
        bearer(",service=\"h\",scope=\"repository:a:pull\""),
        bearer(",scope=\"repository:a:pull\",service=\"h\"")
    );
    assert_ne!(bearer(",service=\"h\""), bearer(",service=\"h\",scope=\"repository:a:pull\""));
}
