//! `docs/coverage.md`: the table of the corpus. It is also the memory of the runner: a run replaces its own rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// What came of one row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) ecosystem: String,
    /// The first 12 digits of the commit.
    pub(crate) commit: String,
    /// What came of its first run, which never changes.
    pub(crate) first: String,
    /// `passed`, `passed with N lines`, `planned`, `failed`.
    pub(crate) outcome: String,
    /// Why it did not pass, or what answered.
    pub(crate) reason: String,
    /// Milliseconds.
    pub(crate) plan_ms: Option<u128>,
    /// Seconds.
    pub(crate) build_s: Option<u64>,
    /// MiB.
    pub(crate) size_mib: Option<u64>,
}

impl Line {
    /// Whether the row passed, with a line of settings or without.
    pub(crate) fn passed(&self) -> bool {
        self.outcome.starts_with("passed")
    }
}

/// The table, by the rows' ids.
pub(crate) type Coverage = BTreeMap<String, Line>;

const HEAD: &str = "| repository | toolchain | commit | first run | now | what was seen | plan ms | build s | image MiB |\n\
                    | --- | --- | --- | --- | --- | --- | ---: | ---: | ---: |\n";

/// The table as an earlier run wrote it; empty where there was none.
pub(crate) fn read(file: &Path) -> Coverage {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.split('|').count() == 11);
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, id, ecosystem, commit, first, outcome, reason, plan_ms, build_s, size_mib, _] = cells[..] else {
            return None;
        };
        let line = Line {
            ecosystem: ecosystem.to_owned(),
            commit: commit.trim_matches('`').to_owned(),
            first: first.to_owned(),
            outcome: outcome.to_owned(),
            reason: reason.to_owned(),
            plan_ms: plan_ms.parse().ok(),
            build_s: build_s.parse().ok(),
            size_mib: size_mib.parse().ok(),
        };
        (commit != "commit" && commit != "---").then(|| (id.to_owned(), line))
    })
    .collect()
}

/// Writes the table with its sums.
pub(crate) fn write(file: &Path, coverage: &Coverage) -> std::io::Result<()> {
    let mut text = String::from(
        "<!-- `make corpus CORPUS_DIR=…` writes this page from `tests/corpus.toml`; rows that a run leaves out stay as they were. -->\n\n\
         # Coverage\n\n\
         Public repositories that Slipway's authors did not write, each at a fixed commit, planned, built, started and asked a\n\
         question. A row passes only when the started container answers as `tests/corpus.toml` says, or when the row expects a\n\
         failure and that very failure comes. `passed with 1 line` means that planning named a setting to choose from and the build\n\
         was repeated with it. The first run's outcome stays in the table, and no row is removed.\n\n\
         | toolchain | rows | built | passed at first | pass now | without any setting |\n\
         | --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let mut ecosystems: Vec<&str> = coverage.values().map(|line| line.ecosystem.as_str()).collect();
    ecosystems.sort_unstable();
    ecosystems.dedup();
    for ecosystem in ecosystems {
        let count = |what: &dyn Fn(&Line) -> bool| {
            coverage.values().filter(|line| line.ecosystem == ecosystem && what(line)).count()
        };
        let _ = writeln!(
            text,
            "| {ecosystem} | {} | {} | {} | {} | {} |",
            count(&|_| true),
            count(&|line| line.outcome != "planned"),
            count(&|line| line.first.starts_with("passed")),
            count(&Line::passed),
            count(&|line| line.outcome == "passed"),
        );
    }
    let mut times: Vec<u128> = coverage.values().filter_map(|line| line.plan_ms).collect();
    times.sort_unstable();
    if let Some(p95) = times.get((times.len() * 95).div_ceil(100).saturating_sub(1)) {
        let _ = writeln!(
            text,
            "\nPlan time is that of a second `slipway plan` of the same work tree, the program's start included: p95 {p95} ms, median {} ms.",
            times[times.len() / 2]
        );
    }
    let _ = write!(text, "\n{HEAD}");
    for (id, line) in coverage {
        let number = |value: Option<String>| value.unwrap_or_default();
        let _ = writeln!(
            text,
            "| {id} | {} | `{}` | {} | {} | {} | {} | {} | {} |",
            line.ecosystem,
            line.commit,
            line.first,
            line.outcome,
            line.reason,
            number(line.plan_ms.map(|ms| ms.to_string())),
            number(line.build_s.map(|s| s.to_string())),
            number(line.size_mib.map(|size| size.to_string())),
        );
    }
    std::fs::write(file, text)
}

/// A sentence that fits into a cell; where a mirror or registry stands is nobody's business.
pub(crate) fn cell(text: &str) -> String {
    let mut parts = text.split("://");
    let mut named = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let host = part.find(|c: char| c == '/' || c == ')' || c.is_whitespace()).unwrap_or(part.len());
        named.push_str("://…");
        named.push_str(&part[host..]);
    }
    let plain: String = named.chars().map(|c| if c.is_control() || c == '|' { ' ' } else { c }).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    // `lookup HOST on RESOLVER: no such host`, as Go's programs say it.
    let place = |at: usize| {
        let before = |back: usize| at.checked_sub(back).map(|at| words[at]);
        before(1) == Some("lookup") || before(1) == Some("on") && before(3) == Some("lookup")
    };
    let hidden: Vec<&str> = words.iter().enumerate().map(|(at, word)| if place(at) { "…" } else { *word }).collect();
    let words = hidden.join(" ");
    if words.chars().count() <= 220 { words } else { words.chars().take(219).chain(['…']).collect() }
}
