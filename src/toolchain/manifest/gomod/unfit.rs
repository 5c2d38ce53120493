//! Versions of modules that do not compile with a release of Go, by the toolchain's `[[facts.unfit]]`.

use super::layout::Module;
use crate::model::origin::{Found, Origin};
use crate::toolchain::version::{Demand, Version};

/// For every such module that is required the first release that it does not compile with.
pub(super) fn limits(module: &Module, facts: &toml::Table) -> Vec<Found<Demand>> {
    let rows = facts.get("unfit").and_then(toml::Value::as_array).into_iter().flatten();
    let limit = |row: &toml::Value| {
        let text = |key: &str| row.get(key).and_then(toml::Value::as_str);
        let version = |key: &str| text(key)?.parse::<Version>().ok();
        let (name, from, before, release) =
            (text("module")?, version("from")?, version("before")?, version("release")?);
        let (_, required, line) = module.requires.iter().find(|(path, ..)| path == name)?;
        let stated: Version = required.trim_start_matches('v').parse().ok()?;
        let replaced = module.replaced.iter().any(|path| path == name);
        (from <= stated && stated < before && !replaced).then(|| {
            let why = format!("{name} {required} does not compile with Go {release}, and {before} does");
            Found::new(Demand::Below(release), Origin::file(module.file.as_str(), Some(*line), why))
        })
    };
    rows.filter_map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::super::layout::Layout;
    use super::*;
    use crate::model::source_tree::SourceTree;

    #[test]
    fn versions_between_two_bound_the_release() {
        let facts =
            "[[unfit]]\nmodule = 'x.org/net'\nfrom = '0.54.0'\nbefore = '0.55.0'\nrelease = '1.27'".parse().unwrap();
        for (lines, below) in [
            ("require x.org/net v0.54.0 // indirect", Some("below 1.27")),
            ("require x.org/net v0.54.1", Some("below 1.27")),
            ("require x.org/net v0.53.9", None),
            ("require x.org/net v0.55.0", None),
            ("require x.org/other v0.54.0", None),
            ("require x.org/net v0.54.0\nreplace x.org/net => y.org/net v0.55.0", None),
            ("require x.org/net v0.0.0-20260101000000-abcdefabcdef", None),
        ] {
            let tree = SourceTree::of_texts([("go.mod", format!("module a\ngo 1.26\n{lines}\n").as_str())]);
            let layout = Layout::read(&tree, "").unwrap();
            let found = limits(&layout.modules[0], &facts);
            assert_eq!(found.first().map(|found| found.value.to_string()).as_deref(), below, "{lines}");
        }
    }
}
