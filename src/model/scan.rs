//! What a scanner found in an image, and whether that is accepted.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How bad a vulnerability is; the order is that of Harbor's scanner adapters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// There is none.
    None,
    /// Nobody has rated it. It counts as low: what is unknown is not harmless.
    Unknown,
    /// It hardly matters.
    Negligible,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    #[default]
    High,
    /// Critical.
    Critical,
}

impl Severity {
    /// Reads a scanner's word.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "none" => Self::None,
            "negligible" => Self::Negligible,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "critical" => Self::Critical,
            _ => Self::Unknown,
        }
    }

    /// The word in reports and configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unknown => "unknown",
            Self::Negligible => "negligible",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    fn reaches(self, limit: Self) -> bool {
        let rank = |one: Self| if one == Self::Unknown { Self::Low } else { one };
        self != Self::None && rank(self) >= rank(limit)
    }
}

/// A vulnerability in a package of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Vulnerability {
    /// Its name: `CVE-2024-3094`.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// The package that has it.
    pub package: String,
    /// The package's version.
    pub version: String,
    /// The version that has it no more; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fixed_in: String,
}

/// A day of the calendar: `2026-12-31`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Day(String);

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.parse::<jiff::civil::Date>() {
            Ok(date) if date.to_string() == text => Ok(Self(text)),
            _ => Err(format!("`{text}` is no day: write `2026-12-31`")),
        }
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.0
    }
}

/// A vulnerability that the operator accepts for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Its name: `CVE-2024-3094`.
    pub cve: String,
    /// The last day on which it is accepted.
    pub until: Day,
    /// Why; people who read the configuration want to know.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The product lines that it holds for; `*` is all.
    #[serde(default = "everyone")]
    pub product_lines: Vec<String>,
}

fn everyone() -> Vec<String> {
    vec!["*".to_owned()]
}

/// What a scan came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScanState {
    /// The scanner has looked at the image.
    Scanned,
    /// The scanner failed, or somebody stopped it.
    Failed,
    /// It had not ended when the time was over.
    Unfinished,
    /// Nobody looked: there is no scanner, it cannot read such an image, or the account may not ask for it. That says nothing
    /// of the image.
    NotScanned,
}

/// The scan in a build's report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedScan {
    /// How far it came.
    pub state: ScanState,
    /// The worst that was found; absent where nobody looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// How many were found, by severity.
    pub counts: BTreeMap<Severity, u64>,
    /// How many have a version that fixes them.
    pub fixable: u64,
    /// What the operator does not accept, worst first.
    pub refused: Vec<Vulnerability>,
    /// What the operator accepts by name.
    pub accepted: Vec<String>,
    /// Who looked: `Trivy 0.58`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scanner: Option<String>,
    /// Why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl ReportedScan {
    /// A scan without a result.
    #[must_use]
    pub fn without(state: ScanState, why: impl Into<String>) -> Self {
        Self {
            state,
            severity: None,
            counts: BTreeMap::new(),
            fixable: 0,
            refused: Vec::new(),
            accepted: Vec::new(),
            scanner: None,
            why: Some(why.into()),
        }
    }
}

/// What is accepted.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// From where on a vulnerability is refused; nothing is where there is none.
    pub limit: Option<Severity>,
    /// What is accepted all the same.
    pub exceptions: &'a [Exception],
    /// Whose image it is.
    pub product_line: &'a str,
    /// Today: `2026-11-21`.
    pub today: &'a str,
}

impl Rules<'_> {
    fn accepts(&self, found: &Vulnerability) -> bool {
        self.exceptions.iter().any(|exception| {
            exception.cve.eq_ignore_ascii_case(&found.id)
                && exception.until.0.as_str() >= self.today
                && exception.product_lines.iter().any(|line| line == "*" || line == self.product_line)
        })
    }

    /// Judges what a scanner found.
    #[must_use]
    pub fn judge(&self, mut found: Vec<Vulnerability>, scanner: Option<String>) -> ReportedScan {
        found.sort_by(|a, b| (b.severity, &a.id, &a.package).cmp(&(a.severity, &b.id, &b.package)));
        let mut counts = BTreeMap::new();
        for one in &found {
            *counts.entry(one.severity).or_insert(0) += 1;
        }
        let severity = Some(found.iter().map(|one| one.severity).max().unwrap_or(Severity::None));
        let fixable = found.iter().filter(|one| !one.fixed_in.is_empty()).count() as u64;
        let bad = found.into_iter().filter(|one| self.limit.is_some_and(|limit| one.severity.reaches(limit)));
        let (accepted, refused): (Vec<_>, Vec<_>) = bad.partition(|one| self.accepts(one));
        let mut accepted: Vec<String> = accepted.into_iter().map(|one| one.id).collect();
        accepted.dedup();
        ReportedScan { state: ScanState::Scanned, severity, counts, fixable, refused, accepted, scanner, why: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: &str, severity: Severity) -> Vulnerability {
        let (package, version) = ("zlib".to_owned(), "1.0".to_owned());
        Vulnerability { id: id.to_owned(), severity, package, version, fixed_in: String::new() }
    }

    fn exception(cve: &str, until: &str, line: &str) -> Exception {
        let until = Day::try_from(until.to_owned()).unwrap();
        Exception { cve: cve.into(), until, reason: String::new(), product_lines: vec![line.into()] }
    }

    #[test]
    fn exceptions_hold_to_their_last_day_and_for_their_product_line() {
        let exceptions = [
            exception("cve-1", "2026-11-21", "*"),
            exception("CVE-2", "2026-11-20", "*"),
            exception("CVE-3", "2027-01-01", "other"),
        ];
        let rules =
            Rules { limit: Some(Severity::High), exceptions: &exceptions, product_line: "trade", today: "2026-11-21" };
        let all = ["CVE-1", "CVE-2", "CVE-3"].map(|id| found(id, Severity::High)).to_vec();
        let scan = rules.judge(all, None);
        let refused: Vec<&str> = scan.refused.iter().map(|one| one.id.as_str()).collect();
        assert_eq!((refused, scan.accepted), (vec!["CVE-2", "CVE-3"], vec!["CVE-1".to_owned()]));
    }

    #[test]
    fn the_worst_comes_first_and_the_unknown_is_not_harmless() {
        let rules = Rules { limit: Some(Severity::Low), exceptions: &[], product_line: "trade", today: "2026-11-21" };
        let all = vec![
            found("A", Severity::Negligible),
            found("B", Severity::Unknown),
            found("C", Severity::Critical),
            found("D", Severity::Low),
        ];
        let scan = rules.judge(all, None);
        let refused: Vec<&str> = scan.refused.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(refused, ["C", "D", "B"]);
        assert_eq!(scan.severity, Some(Severity::Critical));
        assert_eq!(rules.judge(Vec::new(), None).severity, Some(Severity::None));
    }

    #[test]
    fn days_are_days() {
        for wrong in ["2026-13-01", "tomorrow", "2026-1-1", "20261231", "2026-12-31T00:00:00"] {
            assert!(Day::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
