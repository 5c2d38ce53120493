//! Distributions that are held at versions which know no later release of Python, by the toolchain's `[facts.floors]`.

use pep440_rs::{Operator, Version, VersionSpecifier, VersionSpecifiers};

use super::dependencies::Dependencies;
use crate::model::origin::{Found, Origin};
use crate::toolchain::version::Demand;

/// For every such distribution the first release that it does not know.
pub(super) fn limits(dependencies: &Dependencies, facts: &toml::Table) -> Vec<Found<Demand>> {
    let Some(floors) = facts.get("floors").and_then(toml::Value::as_table) else { return Vec::new() };
    let limit = |requirement: &super::requirement::Requirement| {
        let table = floors.get(&requirement.name)?.as_table()?;
        let specifiers = requirement.versions.as_ref().filter(|_| requirement.applies)?;
        let floors = table.iter().filter_map(|(release, floor)| {
            let (release, floor) = (release.parse::<crate::toolchain::version::Version>().ok()?, floor.as_str()?);
            all_below(specifiers, &floor.parse().ok()?).then(|| (release, floor.to_owned()))
        });
        let (release, floor) = floors.min_by(|a, b| a.0.cmp(&b.0))?;
        let held = match specifiers.iter().find(|specifier| *specifier.operator() == Operator::Equal) {
            Some(pin) => pin.version().to_string(),
            None => specifiers.to_string(),
        };
        let mut origin: Origin = requirement.origin.clone();
        origin.detail =
            format!("{} {held} is older than {release}, which {floor} is the first to know", requirement.name);
        Some(Found::new(Demand::Below(release), origin))
    };
    dependencies.list.iter().filter_map(limit).collect()
}

/// Whether every version that the specifiers allow comes before this one (PEP 440, "Version specifiers").
fn all_below(specifiers: &VersionSpecifiers, floor: &Version) -> bool {
    specifiers.iter().any(|specifier| match specifier.operator() {
        Operator::Equal | Operator::ExactEqual | Operator::LessThanEqual => specifier.version() < floor,
        Operator::LessThan => specifier.version() <= floor,
        Operator::EqualStar => series_ends(specifier, 0) <= *floor,
        Operator::TildeEqual => series_ends(specifier, 1) <= *floor,
        _ => false,
    })
}

/// The first version after those that begin as this one does, but for its last parts.
fn series_ends(specifier: &VersionSpecifier, parts: usize) -> Version {
    let release = specifier.version().release();
    let mut end = release[..release.len().saturating_sub(parts)].to_vec();
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    Version::new(end)
}

#[cfg(test)]
mod tests {
    use super::super::requirement::Requirement;
    use super::super::tests::FACTS;
    use super::*;

    #[test]
    fn old_pins_bound_the_release() {
        for (text, below) in [
            ("psycopg2-binary==2.9.3", Some("below 3.11")),
            ("psycopg2-binary==2.9.9", Some("below 3.13")),
            ("psycopg2-binary==2.9.11", None),
            ("psycopg2==2.7.3", Some("below 3.9")),
            ("psycopg2-binary>=2.9", None),
            ("Django==3.2.13", Some("below 3.13")),
            ("Django==5.2.*", None),
            ("flask==0.1", None),
            ("greenlet==1.0 ; sys_platform == 'win32'", None),
            ("numpy<2", Some("below 3.13")),
            ("numpy>=1.20,<1.24", Some("below 3.13")),
            ("numpy~=1.21.2", Some("below 3.11")),
            ("numpy~=1.21", Some("below 3.13")),
            ("numpy==1.21.*", Some("below 3.11")),
            ("numpy<=1.23.2", Some("below 3.13")),
            ("numpy<=1.23.1", Some("below 3.11")),
            ("numpy!=2.0", None),
            ("scipy==1.5.2", Some("below 3.9")),
        ] {
            let list = vec![Requirement::parse(text, Origin::default("test")).unwrap()];
            let found = limits(&Dependencies { list, ..Dependencies::default() }, &FACTS);
            assert_eq!(found.first().map(|found| found.value.to_string()).as_deref(), below, "{text}");
        }
    }
}
