//! What a pinned distribution needs of those that it does not bound itself, by the toolchain's `[[facts.companions]]`.
//!
//! A requirements file that pins `Flask==1.1.2` alone worked on the day it was written; today pip would add releases of
//! Jinja2 and Werkzeug that came years later and that Flask 1 cannot import.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use pep440_rs::{Operator, Version};
use serde_json::{Value, json};

use super::beside;
use super::dependencies::Dependencies;
use super::requirement::{Requirement, normalise};
use crate::model::origin::{Decision, Found, Origin};
use crate::toolchain::version::Version as Release;

/// What pip may take of distributions that the project does not bound.
#[derive(Debug, Default)]
pub(super) struct Constraints {
    /// A constraints file of pip, empty where there is nothing to say.
    pub(super) lines: String,
    pub(super) decisions: Vec<Decision>,
    /// Whether the commit is older than a version that would break it.
    pub(super) aged: bool,
}

impl Constraints {
    /// A lock says everything, and what is not installed needs nothing.
    pub(super) fn of(
        dependencies: &Dependencies,
        commit_time: Option<i64>,
        asked: Option<&Release>,
        facts: &toml::Table,
    ) -> Self {
        if matches!(dependencies.install, "lock" | "none") {
            return Self::default();
        }
        let mut companions = companions(dependencies, facts);
        let stated = beside::constraints(dependencies);
        companions.retain(|one| stated.iter().all(|other| distribution(&other.value) != distribution(&one.value)));
        companions.extend(stated);
        let of_age = of_age(dependencies, &companions, (commit_time, asked), facts);
        let mut decisions: Vec<Decision> =
            companions.iter().map(|one| decided(json!(one.value), one.origin.clone())).collect();
        decisions.extend(shown(dependencies, &of_age));
        let mut lines = String::new();
        for one in companions.iter().chain(&of_age) {
            lines.push_str(&one.value);
            lines.push('\n');
        }
        Self { lines, decisions, aged: !of_age.is_empty() }
    }
}

/// One decision for all that the commit's age keeps out: the project's own dependencies by name, the others counted.
fn shown(dependencies: &Dependencies, of_age: &[Found<String>]) -> Option<Decision> {
    const WHY: &str = "the commit is older than versions that took away what many used";
    let own = |one: &&Found<String>| {
        let name = distribution(&one.value);
        dependencies.list.iter().any(|known| known.name == name)
    };
    let named: Vec<&str> = of_age.iter().filter(own).map(|one| one.value.as_str()).collect();
    match (named.len(), of_age.len() - named.len()) {
        (0, 0) => None,
        (0, others) => {
            let value = json!(format!("{others} distributions"));
            Some(decided(value, Origin::default(format!("{WHY}; none is the project's own, and any may come with it"))))
        }
        (_, 0) => Some(decided(json!(named), Origin::default(WHY))),
        (_, others) => {
            Some(decided(json!(named), Origin::default(format!("{WHY}; {others} more that may come with these"))))
        }
    }
}

fn decided(value: Value, origin: Origin) -> Decision {
    Decision { key: "constraints".into(), value, origin, rejected: Vec::new() }
}

/// Constraints for pip (`werkzeug<2.1`), each with the pin that asks for it, sorted by distribution.
///
/// A distribution whose version the project bounds itself is left to it.
fn companions(dependencies: &Dependencies, facts: &toml::Table) -> Vec<Found<String>> {
    let rows = facts.get("companions").and_then(toml::Value::as_array).into_iter().flatten();
    let mut found: Vec<Found<String>> = Vec::new();
    let mut answered: Vec<&str> = Vec::new();
    for row in rows {
        let text = |key: &str| row.get(key).and_then(toml::Value::as_str).unwrap_or_default();
        let Ok(below) = text("below").parse::<Version>() else { continue };
        // Of a distribution's rows the first that fits counts: the strictest stands first.
        if answered.contains(&text("name")) {
            continue;
        }
        let pins = dependencies.list.iter().filter(|requirement| requirement.name == text("name"));
        let Some((pin, version)) = pins.filter_map(|pin| Some((pin, newest(pin)?))).find(|(_, pin)| *pin < below)
        else {
            continue;
        };
        answered.push(text("name"));
        for constraint in row.get("constraints").and_then(toml::Value::as_array).into_iter().flatten() {
            let constraint = constraint.as_str().unwrap_or_default();
            let name = distribution(constraint);
            let bounded = dependencies.list.iter().any(|known| known.name == name && newest(known).is_some());
            if bounded || found.iter().any(|known| known.value == constraint) {
                continue;
            }
            let mut origin: Origin = pin.origin.clone();
            origin.detail = format!("{} {version} does not work with later ones", pin.name);
            found.push(Found::new(constraint.to_owned(), origin));
        }
    }
    found.sort_by(|a, b| a.value.cmp(&b.value));
    found
}

/// Constraints that keep a distribution below a version that broke its users and that came out after the commit: what
/// the commit was tried with is older. So do versions that the Python which is asked for never had, of what the project names
/// itself: a later Python stands in for one that is not offered, and would have them. From `[[facts.breaking]]`; what the project or a companion bounds is left alone.
fn of_age(
    dependencies: &Dependencies,
    companions: &[Found<String>],
    (commit_time, asked): (Option<i64>, Option<&Release>),
    facts: &toml::Table,
) -> Vec<Found<String>> {
    let time = commit_time.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let today = time.map(|time| time.to_zoned(TimeZone::UTC).date());
    let rows = facts.get("breaking").and_then(toml::Value::as_array).into_iter().flatten();
    let mut found: Vec<Found<String>> = Vec::new();
    for row in rows {
        let text = |key: &str| row.get(key).and_then(toml::Value::as_str).unwrap_or_default();
        let (name, version) = (text("name"), text("version"));
        let listed = || dependencies.list.iter().any(|known| known.name == name);
        let day = text("released").parse::<Date>().ok().filter(|day| today.is_some_and(|today| today < *day));
        let python = text("python")
            .parse::<Release>()
            .ok()
            .filter(|python| asked.is_some_and(|asked| asked < python && !asked.within(python)) && listed());
        let detail = match (day, python) {
            (Some(day), _) => format!("the commit is older than {name} {version}, which came out on {day}"),
            (_, Some(python)) => {
                format!("the Python that is asked for is older than {python}, which {name} {version} wants")
            }
            _ => continue,
        };
        let bounded = dependencies.list.iter().any(|known| known.name == name && newest(known).is_some())
            || companions.iter().chain(&found).any(|known| distribution(&known.value) == name);
        if !bounded {
            found.push(Found::new(format!("{name}<{version}"), Origin::default(detail)));
        }
    }
    found
}

/// Whether a distribution is kept below a version.
pub(super) fn before(dependencies: &Dependencies, name: &str, version: &str) -> bool {
    let below = |pin: &Requirement| Some(newest(pin)? < version.parse().ok()?);
    dependencies.list.iter().any(|pin| pin.name == name && below(pin) == Some(true))
}

/// The newest version that a requirement allows, where it says one: `==1.1.2`, `<2`, `~=1.1`.
fn newest(requirement: &Requirement) -> Option<Version> {
    let specifiers = requirement.versions.as_ref().filter(|_| requirement.applies)?;
    let upper = |operator: &Operator| {
        matches!(
            operator,
            Operator::Equal
                | Operator::EqualStar
                | Operator::TildeEqual
                | Operator::LessThan
                | Operator::LessThanEqual
                | Operator::ExactEqual
        )
    };
    specifiers.iter().filter(|one| upper(one.operator())).map(|one| one.version().clone()).min()
}

fn distribution(constraint: &str) -> String {
    let end = constraint.find(|c: char| "<>=!~".contains(c)).unwrap_or(constraint.len());
    normalise(constraint[..end].trim())
}

#[cfg(test)]
mod tests {
    use super::super::tests::FACTS;
    use super::*;

    #[test]
    fn what_came_out_later_is_kept_out() {
        let days = |text: &str| text.parse::<Date>().unwrap().to_zoned(TimeZone::UTC).unwrap().timestamp().as_second();
        for (lines, day, wanted, expected) in [
            (&["flask"][..], Some("2021-01-01"), "flask", "flask<2.0"),
            (&["flask"], Some("2021-01-01"), "sqlalchemy", "sqlalchemy<1.4"),
            (&["flask"], Some("2022-06-01"), "sqlalchemy", "sqlalchemy<2.0"),
            (&["flask"], Some("2026-10-01"), "flask", ""),
            (&["flask==1.1.2"], Some("2021-01-01"), "flask", ""),
            (&["flask"], None, "flask", ""),
        ] {
            let list = lines.iter().map(|text| Requirement::parse(text, Origin::default("test")).unwrap()).collect();
            let found = of_age(&Dependencies { list, ..Dependencies::default() }, &[], (day.map(days), None), &FACTS);
            let said = found.iter().find(|found| distribution(&found.value) == wanted);
            assert_eq!(said.map_or("", |found| found.value.as_str()), expected, "{lines:?} {day:?}");
        }
    }

    #[test]
    fn what_the_python_asked_for_never_had_is_kept_out() {
        for (lines, python, expected) in [
            (&["Django"][..], "3.7", "django<4.0"),
            (&["Django"], "3.5.2", "django<3.0"),
            (&["Django"], "3.9", "django<5.0"),
            (&["Django"], "3.13", ""),
            (&["Django==4.2"], "3.7", ""),
            (&["djangorestframework"], "3.7", ""),
        ] {
            let list = lines.iter().map(|text| Requirement::parse(text, Origin::default("test")).unwrap()).collect();
            let asked = python.parse().unwrap();
            let found = of_age(&Dependencies { list, ..Dependencies::default() }, &[], (None, Some(&asked)), &FACTS);
            let said: Vec<&str> = found.iter().map(|found| found.value.as_str()).collect();
            assert_eq!(said.join(" "), expected, "{lines:?} {python}");
        }
    }

    #[test]
    fn old_pins_keep_their_companions_old() {
        for (lines, expected) in [
            (&["Flask==1.1.2"][..], "click<8 itsdangerous<2 jinja2<3 markupsafe<2.1 werkzeug<2"),
            (&["Flask==2.2.2"], "werkzeug<3"),
            (&["Flask==2.2.2", "Werkzeug==2.2.2"], ""),
            (&["Flask==2.2.2", "Werkzeug"], "werkzeug<3"),
            (&["Flask<2.3"], ""),
            (&["Flask==3.1.0"], ""),
            (&["Flask>=1.0"], ""),
            (&["Flask==1.1.2 ; sys_platform == 'win32'"], ""),
            (&["environs==7.3.1"], "marshmallow<4"),
            (&["tortoise-orm==0.20.0"], "pydantic<2.11"),
            (&["tortoise-orm==0.25.1"], ""),
        ] {
            let list = lines.iter().map(|text| Requirement::parse(text, Origin::default("test")).unwrap()).collect();
            let found = companions(&Dependencies { list, ..Dependencies::default() }, &FACTS);
            let said: Vec<&str> = found.iter().map(|found| found.value.as_str()).collect();
            assert_eq!(said.join(" "), expected, "{lines:?}");
        }
    }
}
