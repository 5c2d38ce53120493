//! Pinned distributions that know no later release of Python, by the toolchain's `[facts.floors]`.

use pep440_rs::{Operator, Version};

use super::dependencies::Dependencies;
use crate::model::origin::{Found, Origin};
use crate::toolchain::version::Demand;

/// For every such pin the first release that it does not know.
pub(super) fn limits(dependencies: &Dependencies, facts: &toml::Table) -> Vec<Found<Demand>> {
    let Some(floors) = facts.get("floors").and_then(toml::Value::as_table) else { return Vec::new() };
    let limit = |requirement: &super::requirement::Requirement| {
        let specifiers = requirement.versions.as_ref().filter(|_| requirement.applies)?;
        let pin = specifiers.iter().find(|specifier| *specifier.operator() == Operator::Equal)?.version().clone();
        let table = floors.get(&requirement.name)?.as_table()?;
        let floors = table.iter().filter_map(|(release, floor)| {
            let (release, floor) = (release.parse::<crate::toolchain::version::Version>().ok()?, floor.as_str()?);
            (pin < floor.parse::<Version>().ok()?).then(|| (release, floor.to_owned()))
        });
        let (release, floor) = floors.min_by(|a, b| a.0.cmp(&b.0))?;
        let mut origin: Origin = requirement.origin.clone();
        origin.detail =
            format!("{} {pin} is older than {release}, which {floor} is the first to know", requirement.name);
        Some(Found::new(Demand::Below(release), origin))
    };
    dependencies.list.iter().filter_map(limit).collect()
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
        ] {
            let list = vec![Requirement::parse(text, Origin::default("test")).unwrap()];
            let found = limits(&Dependencies { list, ..Dependencies::default() }, &FACTS);
            assert_eq!(found.first().map(|found| found.value.to_string()).as_deref(), below, "{text}");
        }
    }
}
