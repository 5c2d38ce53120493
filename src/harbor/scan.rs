//! Scans: awaited, started where nobody did, and read. What was not scanned is never taken for clean.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::artifacts::ArtifactName;
use super::{Client, Reply};
use crate::model::failure::Failure;
use crate::model::scan::{ReportedScan, Rules, ScanState, Severity, Vulnerability};

/// The form of reports, also the key of their summaries (Harbor's pluggable scanner API 1.1).
const REPORT: &str = "application/vnd.security.vulnerability.report; version=1.1";

/// The first pause between two looks; each further one is half as long again.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How many looks in a row may have no answer: Harbor's core is back within seconds after a restart.
const UNANSWERED: u32 = 3;

/// How far a scan is, as the API words it.
enum Progress {
    Absent,
    Running,
    Ended(String),
}

impl Client {
    /// What a scanner says of an image, judged by rules. A scan that nobody has started is started, and one that failed or
    /// was stopped once anew; its end is awaited this long, also past a moment in which Harbor does not answer.
    ///
    /// # Errors
    /// `registry_unauthorized`, `registry_unavailable`. That nobody scanned is no error, but a result without findings.
    pub async fn scanned(
        &self,
        image: ArtifactName<'_>,
        patience: Duration,
        rules: Rules<'_>,
    ) -> Result<ReportedScan, Failure> {
        let deadline = Instant::now() + patience;
        let mut pause = FIRST_PAUSE;
        let (mut asked, mut anew, mut unanswered) = (false, false, 0);
        loop {
            let reply = match self.get(&format!("{}?with_scan_overview=true", image.path())).await {
                Ok(reply) => reply,
                Err(failure) => {
                    unanswered += 1;
                    if unanswered == UNANSWERED || Instant::now() + pause > deadline {
                        return Err(failure);
                    }
                    tokio::time::sleep(pause).await;
                    continue;
                }
            };
            unanswered = 0;
            if reply.status == 401 {
                return Err(self.login_refused().await);
            }
            if !reply.good() {
                return Ok(not_scanned("the account may not read the image's scan (`artifact:read`)", &reply));
            }
            let overview = overview(&reply.body);
            match progress(overview) {
                Progress::Absent if !asked => {
                    asked = true;
                    if let Some(refused) = self.start_scan(image).await? {
                        return Ok(refused);
                    }
                }
                Progress::Absent | Progress::Running => {}
                Progress::Ended(word) if word == "Success" => {
                    let scanner = overview.and_then(|found| scanner(&found["scanner"]));
                    return self.findings(image, scanner, rules).await;
                }
                // A scanner that was away, or somebody who stopped it.
                Progress::Ended(_) if !anew => {
                    (anew, pause) = (true, FIRST_PAUSE);
                    if let Some(refused) = self.start_scan(image).await? {
                        return Ok(refused);
                    }
                }
                Progress::Ended(word) => {
                    return Ok(ReportedScan::without(ScanState::Failed, format!("the scan ended with `{word}`")));
                }
            }
            if Instant::now() + pause > deadline {
                return Ok(ReportedScan::without(
                    ScanState::Unfinished,
                    format!("the scan has not ended within {} s", patience.as_secs()),
                ));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    /// Asks for a scan; gives why there will be none.
    async fn start_scan(&self, image: ArtifactName<'_>) -> Result<Option<ReportedScan>, Failure> {
        let body = json!({ "scan_type": "vulnerability" });
        let reply = self.send(Method::POST, &format!("{}/scan", image.path()), Some(&body)).await?;
        Ok(match reply.status {
            // It runs already.
            202 | 409 => None,
            401 => return Err(self.login_refused().await),
            403 => Some(not_scanned("the account may not ask for a scan (`scan:create`)", &reply)),
            412 => Some(not_scanned("Harbor has no scanner", &reply)),
            400 => Some(not_scanned("the scanner cannot read such an image", &reply)),
            _ => Some(not_scanned("Harbor refused to scan", &reply)),
        })
    }

    async fn findings(
        &self,
        image: ArtifactName<'_>,
        scanner: Option<String>,
        rules: Rules<'_>,
    ) -> Result<ReportedScan, Failure> {
        let path = format!("{}/additions/vulnerabilities", image.path());
        let request = self.authorized(self.request(Method::GET, &path)).header("x-accept-vulnerabilities", REPORT);
        let reply = self.reply(request).await?;
        if !reply.good() {
            return Ok(not_scanned("the account may not read the scan's report (`artifact-addition:read`)", &reply));
        }
        // An empty object is what Harbor answers where there is no report.
        let report = &reply.body[REPORT];
        if !report.is_object() {
            return Ok(not_scanned("Harbor has no report of the scan", &reply));
        }
        let all = report["vulnerabilities"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(rules.judge(all.iter().map(vulnerability).collect(), scanner))
    }
}

fn not_scanned(why: &str, reply: &Reply) -> ReportedScan {
    let words = reply.message();
    let why = if words.is_empty() { why.to_owned() } else { format!("{why}: {words}") };
    ReportedScan::without(ScanState::NotScanned, why)
}

/// The summary of the newest scan, of whatever version.
fn overview(artifact: &Value) -> Option<&Value> {
    artifact["scan_overview"].as_object()?.values().next()
}

fn progress(overview: Option<&Value>) -> Progress {
    match overview.map(|found| found["scan_status"].as_str().unwrap_or_default()) {
        None => Progress::Absent,
        Some("Pending" | "Running" | "Scheduled" | "") => Progress::Running,
        Some(word) => Progress::Ended(word.to_owned()),
    }
}

fn scanner(value: &Value) -> Option<String> {
    let name = value["name"].as_str()?;
    Some(format!("{name} {}", value["version"].as_str().unwrap_or_default()).trim_end().to_owned())
}

fn vulnerability(value: &Value) -> Vulnerability {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    Vulnerability {
        id: text("id"),
        severity: Severity::of(&text("severity")),
        package: text("package"),
        version: text("version"),
        fixed_in: text("fix_version"),
    }
}
