//! Version specifiers (PEP 440) and Poetry's constraints as demands on the release.

use crate::toolchain::version::{Demand, Version};

/// PEP 440's specifiers, `>=3.9,<4,!=3.10.*`; `None` when one cannot be read.
///
/// A pre-release suffix is dropped: releases are offered without. `<=3.11` allows 3.11.0 alone by
/// PEP 440, so no release that stands for later patches satisfies it.
pub(super) fn pep440(text: &str) -> Option<Vec<Demand>> {
    let mut demands = Vec::new();
    for clause in text.split(',').map(str::trim).filter(|clause| !clause.is_empty()) {
        demands.extend(clause_demands(clause)?);
    }
    Some(demands)
}

/// Poetry's constraints: caret, tilde, wildcards, PEP 440's operators, alternatives by `||` or `|`.
///
/// Of alternatives the span from the lowest to the highest is demanded; `Demand`s cannot say "or".
pub(super) fn poetry(text: &str) -> Option<Vec<Demand>> {
    let alternatives: Vec<&str> = text.split('|').map(str::trim).filter(|part| !part.is_empty()).collect();
    if let [only] = alternatives[..] {
        return poetry_conjunction(only);
    }
    let spans: Option<Vec<_>> = alternatives.iter().map(|part| poetry_conjunction(part).map(|d| span(&d))).collect();
    let spans = spans?;
    let lowest = spans.iter().map(|(low, _)| low.clone()).collect::<Option<Vec<_>>>();
    let highest = spans.into_iter().map(|(_, high)| high).collect::<Option<Vec<_>>>();
    let low = lowest.and_then(|all| all.into_iter().min()).map(Demand::AtLeast);
    let high = highest.and_then(|all| all.into_iter().max()).map(Demand::Below);
    Some(low.into_iter().chain(high).collect())
}

/// A Poetry constraint on a distribution as PEP 440 writes it; `None` when it cannot be written so.
pub(super) fn poetry_as_pep440(text: &str) -> Option<String> {
    let text = text.trim();
    if text.contains('|') {
        return None;
    }
    let mut clauses = Vec::new();
    for clause in split_clauses(text) {
        match clause.strip_prefix('^').or_else(|| clause.strip_prefix('~').filter(|rest| !rest.starts_with('='))) {
            Some(version) => {
                let parsed = release(version.trim())?;
                let upper = if clause.starts_with('^') { after_caret(&parsed) } else { after_tilde(&parsed) }?;
                clauses.push(format!(">={},<{upper}", version.trim()));
            }
            None if clause == "*" => {}
            None if clause.starts_with(['<', '>', '=', '!', '~']) => clauses.push(clause.clone()),
            None => {
                release(clause.trim_end_matches(".*"))?;
                clauses.push(format!("=={clause}"));
            }
        }
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "<>=!~.,*+-_ ".contains(c);
    Some(clauses.join(",")).filter(|joined| joined.chars().all(plain))
}

fn poetry_conjunction(text: &str) -> Option<Vec<Demand>> {
    let mut demands = Vec::new();
    for clause in split_clauses(text) {
        if let Some(version) = clause.strip_prefix('^') {
            let version = release(version)?;
            let upper = after_caret(&version)?;
            demands.extend([Demand::AtLeast(version), Demand::Below(upper)]);
        } else if let Some(version) = clause.strip_prefix('~').filter(|rest| !rest.starts_with('=')) {
            let version = release(version)?;
            let upper = after_tilde(&version)?;
            demands.extend([Demand::AtLeast(version), Demand::Below(upper)]);
        } else if clause != "*" {
            demands.extend(clause_demands(&clause)?);
        }
    }
    Some(demands)
}

/// Clauses parted by commas or white space; an operator may stand apart from its version.
fn split_clauses(text: &str) -> Vec<String> {
    let mut clauses: Vec<String> = Vec::new();
    for word in text.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
        match clauses.last_mut() {
            Some(last) if last.chars().all(|c| "<>=!~^".contains(c)) => last.push_str(word),
            _ => clauses.push(word.to_owned()),
        }
    }
    clauses
}

fn clause_demands(clause: &str) -> Option<Vec<Demand>> {
    let end = clause.find(|c: char| !"<>=!~".contains(c)).unwrap_or(clause.len());
    let (operator, text) = (&clause[..end], clause[end..].trim());
    let wildcard = text.ends_with(".*");
    let version = release(text.trim_end_matches(".*"))?;
    Some(match operator {
        // A range, for which no other release may stand in.
        "" | "==" if wildcard => vec![Demand::AtLeast(version.clone()), Demand::Below(next(&version)?)],
        "" | "==" | "===" => vec![Demand::Exactly(version)],
        "!=" => vec![Demand::Not(version)],
        // Every patch of 3.8 but 3.8.0 is above 3.8.
        ">" if version.parts().len() > 2 => vec![Demand::AtLeast(next(&version)?)],
        ">=" | ">" => vec![Demand::AtLeast(version)],
        "<=" if wildcard || version.parts().len() > 2 => vec![Demand::Below(next(&version)?)],
        "<" | "<=" => vec![Demand::Below(version)],
        "~=" => {
            let parts = version.parts();
            let upper = next(&Version::new(parts.get(..parts.len().checked_sub(1)?)?))?;
            vec![Demand::AtLeast(version), Demand::Below(upper)]
        }
        _ => return None,
    })
}

/// The numbers of a version: `3.11.0rc1` is 3.11.0. Epochs and local versions are no Python releases.
fn release(text: &str) -> Option<Version> {
    let text = text.trim().trim_start_matches('v');
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let suffix = text[end..].trim_start_matches(['-', '_', '.']);
    let known = ["a", "b", "c", "rc", "alpha", "beta", "pre", "post", "dev"];
    let letters = suffix.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if !suffix.is_empty() && !known.contains(&letters) {
        return None;
    }
    text[..end].trim_end_matches('.').parse().ok()
}

fn next(version: &Version) -> Option<Version> {
    let (last, rest) = version.parts().split_last()?;
    let mut parts = rest.to_vec();
    parts.push(last.checked_add(1)?);
    Some(Version::new(&parts))
}

/// `^1.2.3` is below 2, `^0.2.3` below 0.3, `^0.0.3` below 0.0.4 (Poetry, "Caret requirements").
fn after_caret(version: &Version) -> Option<Version> {
    let parts = version.parts();
    let kept = parts.iter().position(|part| *part != 0).unwrap_or(parts.len().saturating_sub(1));
    next(&Version::new(parts.get(..=kept)?))
}

/// `~1.2.3` and `~1.2` are below 1.3, `~1` is below 2 (Poetry, "Tilde requirements").
fn after_tilde(version: &Version) -> Option<Version> {
    let parts = version.parts();
    next(&Version::new(&parts[..parts.len().min(2)]))
}

fn span(demands: &[Demand]) -> (Option<Version>, Option<Version>) {
    let mut ends = (None, None);
    for demand in demands {
        match demand {
            Demand::AtLeast(version) => ends.0 = Some(version.clone()),
            Demand::Below(version) => ends.1 = Some(version.clone()),
            Demand::Exactly(version) => ends = (Some(version.clone()), next(version)),
            Demand::Not(_) => {}
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(demands: Option<Vec<Demand>>) -> String {
        demands.map_or("?".to_owned(), |all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn pep_440() {
        for (text, means) in [
            (">=3.9,<4", "3.9 or later, below 4"),
            ("==3.11.*", "3.11 or later, below 3.12"),
            ("~=3.10", "3.10 or later, below 4"),
            ("~=3.10.2", "3.10.2 or later, below 3.11"),
            (">3.8", "3.8 or later"),
            (">3.8.4", "3.8.5 or later"),
            ("<=3.11.4", "below 3.11.5"),
            ("<=3.11", "below 3.11"),
            ("!=3.9.*, >= 3.8", "not 3.9, 3.8 or later"),
            (">=3.12.0rc1", "3.12.0 or later"),
            ("", ""),
            ("=>3.9", "?"),
            ("three", "?"),
            ("~=3", "?"),
            (">=99999999999", "?"),
        ] {
            assert_eq!(shown(pep440(text)), means, "{text}");
        }
    }

    #[test]
    fn poetrys_own() {
        for (text, means) in [
            ("^3.10", "3.10 or later, below 4"),
            ("~3.11", "3.11 or later, below 3.12"),
            ("~3", "3 or later, below 4"),
            (">=3.9,<4", "3.9 or later, below 4"),
            (">= 3.9 < 4", "3.9 or later, below 4"),
            ("3.11.*", "3.11 or later, below 3.12"),
            ("*", ""),
            ("~2.7 || ^3.5", "2.7 or later, below 4"),
            ("^0.2.3", "0.2.3 or later, below 0.3"),
            ("^x", "?"),
        ] {
            assert_eq!(shown(poetry(text)), means, "{text}");
        }
    }

    #[test]
    fn constraints_for_pip() {
        for (text, means) in [
            ("^3.0", Some(">=3.0,<4")),
            ("~1.2.3", Some(">=1.2.3,<1.3")),
            ("*", Some("")),
            ("2.1", Some("==2.1")),
            (">=1,<2", Some(">=1,<2")),
            ("^1 || ^2", None),
            ("@latest", None),
        ] {
            assert_eq!(poetry_as_pep440(text).as_deref(), means, "{text}");
        }
    }
}
