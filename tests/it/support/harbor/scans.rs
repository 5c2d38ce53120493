//! Scans, and the gates that hide images.

use serde_json::{Value, json};

use super::answer::{Answer, empty, error};
use super::server::Call;
use super::state::{Artifact, Scan, Scanned, State};
use super::v2::project_of;
use super::who::Shown;

pub(super) const REPORT: &str = "application/vnd.security.vulnerability.report; version=1.1";

const SEVERITIES: [&str; 6] = ["None", "Unknown", "Low", "Medium", "High", "Critical"];

fn rank(severity: &str) -> usize {
    SEVERITIES.iter().position(|known| known.eq_ignore_ascii_case(severity)).unwrap_or(0)
}

/// Why a project's policy hides an image.
pub(super) fn gate(state: &State, name: &str, digest: &str) -> Option<String> {
    let project = state.projects.get(project_of(name))?;
    let repository = state.repository(name)?;
    let artifact = repository.artifacts.get(digest)?;
    if artifact.accessory.is_some() {
        return None;
    }
    if project.flag("enable_content_trust_cosign") {
        let signs = |other: &Artifact| {
            other.accessory.as_ref().is_some_and(|(subject, kind)| subject == digest && *kind == "signature.cosign")
        };
        if !repository.artifacts.values().any(signs) {
            return Some("The image is not signed by cosign.".to_owned());
        }
    }
    if !project.flag("prevent_vul") || !state.scanner {
        return None;
    }
    let policy =
        "due to configured policy in 'Prevent images with vulnerability severity of \"High\" or higher from running.'";
    if artifact.scan.is_none() {
        return Some(format!("current image without vulnerability scanning cannot be pulled {policy}"));
    }
    match state.findings.get(name) {
        Some(Scanned::Failed) => {
            Some(format!("current image with \"Error\" status of vulnerability scanning cannot be pulled {policy}"))
        }
        Some(Scanned::Running) => {
            Some(format!("current image with \"Running\" status of vulnerability scanning cannot be pulled {policy}"))
        }
        Some(Scanned::Found(found)) => {
            let from = rank(project.metadata.get("severity").map_or("low", String::as_str));
            let count = found.iter().filter(|(_, severity)| rank(severity) >= from).count();
            (count > 0).then(|| format!("current image with {count} vulnerabilities cannot be pulled {policy}"))
        }
        None => None,
    }
}

/// Whether a bearer who may push calls itself a signer.
pub(super) fn exempt(state: &State, call: &Call, name: &str) -> bool {
    let agent = call.header("user-agent").unwrap_or_default();
    let Shown::Bearer(Some(token)) = &call.shown else { return false };
    let access = state.tokens.get(token).and_then(|token| token.access.get(project_of(name)));
    access.is_some_and(|actions| actions.contains("push")) && (agent.contains("cosign") || agent.contains("notation"))
}

/// `POST …/scan`
pub(super) fn start(state: &mut State, name: &str, digest: &str, body: &Value) -> Answer {
    let kind = body["scan_type"].as_str().unwrap_or("vulnerability");
    if !["vulnerability", "sbom"].contains(&kind) {
        let message = "validation failure list:\nvalidation failure list:\nscan_type in body should be one of [vulnerability sbom]";
        return error(422, "UNPROCESSABLE_ENTITY", message);
    }
    let id = state.projects.get(project_of(name)).map_or(0, |project| project.id);
    if !state.scanner {
        return error(412, "PRECONDITION", &format!("no available scanner for project: {id}"));
    }
    let running = matches!(state.findings.get(name), Some(Scanned::Running));
    let Some(artifact) = state.repository_mut(name).and_then(|repository| repository.artifacts.get_mut(digest)) else {
        return error(404, "NOT_FOUND", "artifact not found");
    };
    let scannable = artifact.manifest.get("layers").is_some() && artifact.manifest.get("artifactType").is_none();
    let index = artifact.manifest["manifests"].as_array().is_some_and(|children| !children.is_empty());
    if !scannable && !index {
        let kind = &artifact.media_type;
        let message = format!("the configured scanner lab does not support scanning artifact with mime type {kind}");
        return error(400, "BAD_REQUEST", &message);
    }
    if kind == "vulnerability" {
        if running && artifact.scan.is_some() {
            return error(409, "CONFLICT", "a previous scan process is Pending");
        }
        artifact.scan = Some(Scan::default());
    }
    empty(202)
}

/// `scan_overview`: nothing for what was never scanned.
pub(super) fn overview(artifact: &mut Artifact, outcome: Option<&Scanned>) -> Option<Value> {
    let scan = artifact.scan.as_mut()?;
    scan.looks += 1;
    let one = |status: &str, severity: &str, summary: Value| {
        let mut one = json!({
            "report_id": "f008fa78-08c2-4368-8c46-117a1fdec68a", "scan_status": status, "duration": 6,
            "start_time": "2026-11-21T02:52:52Z", "end_time": "2026-11-21T02:52:58Z",
        });
        // Nothing was found out by any other.
        if status == "Success" {
            one["severity"] = json!(severity);
            one["summary"] = summary;
            one["scanner"] = json!({ "name": "LabScan", "vendor": "Lab", "version": "0.1" });
            one["complete_percent"] = json!(100);
        }
        json!({ REPORT: one })
    };
    Some(match outcome {
        _ if scan.looks == 1 => one("Running", "", Value::Null),
        Some(Scanned::Running) => one("Running", "", Value::Null),
        Some(Scanned::Failed) => one("Error", "", Value::Null),
        Some(Scanned::Found(found)) => {
            let worst = found.iter().map(|(_, severity)| rank(severity)).max().unwrap_or(0);
            let mut counts = serde_json::Map::new();
            for (_, severity) in found {
                let count = counts.get(severity).and_then(Value::as_u64).unwrap_or(0);
                counts.insert(severity.clone(), json!(count + 1));
            }
            one("Success", SEVERITIES[worst], json!({ "total": found.len(), "fixable": 0, "summary": counts }))
        }
        None => one("Success", "None", json!({ "total": 0, "fixable": 0, "summary": {} })),
    })
}

/// `…/additions/vulnerabilities`: an empty object where there is no report.
pub(super) fn report(artifact: &Artifact, outcome: Option<&Scanned>) -> Value {
    if artifact.scan.is_none() {
        return json!({});
    }
    let found: &[(String, String)] = match outcome {
        Some(Scanned::Found(found)) => found,
        Some(Scanned::Failed | Scanned::Running) => return json!({}),
        None => &[],
    };
    let worst = found.iter().map(|(_, severity)| rank(severity)).max().unwrap_or(0);
    let all: Vec<Value> = found
        .iter()
        .map(|(id, severity)| json!({ "id": id, "severity": severity, "package": "libexample", "version": "1.0", "fix_version": "" }))
        .collect();
    json!({ REPORT: { "generated_at": "2026-11-21T00:00:00Z", "severity": SEVERITIES[worst], "vulnerabilities": all } })
}
