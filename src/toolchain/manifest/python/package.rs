//! Whether a project is a package that its build backend can build, or only an application that has dependencies.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::text::inside;
use crate::model::source_tree::SourceTree;

/// Directories that setuptools takes for no package in a flat layout (`FlatLayoutPackageFinder`).
const NO_PACKAGES: &[&str] = &[
    "ci",
    "bin",
    "debian",
    "doc",
    "docs",
    "documentation",
    "manpages",
    "news",
    "newsfragments",
    "changelog",
    "test",
    "tests",
    "unit_test",
    "unit_tests",
    "example",
    "examples",
    "scripts",
    "tools",
    "util",
    "utils",
    "python",
    "build",
    "benchmark",
    "benchmarks",
    "exercise",
    "exercises",
    "htmlcov",
];

/// Modules that setuptools takes for none (`FlatLayoutModuleFinder`).
const NO_MODULES: &[&str] = &[
    "setup", "conftest", "test", "tests", "example", "examples", "build", "toxfile", "noxfile", "pavement", "dodo",
    "tasks", "fabfile",
];

/// Whether the project can be built: it names a backend, says nothing against it, and the backend finds what to ship.
pub(super) fn is_package(root: &DeTable<'_>, tree: &SourceTree, directory: &str) -> bool {
    let tool = |path: &[&str]| find(root.get("tool").map(Spanned::get_ref), path);
    let flag = |path: &[&str]| tool(path).and_then(DeValue::as_bool);
    if flag(&["poetry", "package-mode"]) == Some(false) || flag(&["pdm", "distribution"]) == Some(false) {
        return false;
    }
    if let Some(package) = flag(&["uv", "package"]) {
        return package;
    }
    let Some(system) = root.get("build-system").map(Spanned::get_ref) else { return false };
    let backend = find(Some(system), &["build-backend"]).and_then(DeValue::as_str).unwrap_or("setuptools");
    let name = find(root.get("project").map(Spanned::get_ref), &["name"]).or(tool(&["poetry", "name"]));
    let name = name.and_then(DeValue::as_str);
    // As `pdm init` writes it for what is no library.
    if name == Some("") {
        return false;
    }
    let name = name.unwrap_or_default().replace(['-', '.'], "_");
    let module = [name.to_lowercase(), name].into_iter().any(|name| {
        ["", "src"].iter().any(|base| {
            let path = inside(&inside(directory, base), &name);
            tree.has_directory(&path) || tree.has_file(&format!("{path}.py"))
        })
    });
    match backend.split(['.', ':']).next().unwrap_or_default() {
        "poetry" => module || tool(&["poetry", "packages"]).is_some() || tool(&["poetry", "include"]).is_some(),
        "hatchling" => module || tool(&["hatch", "build"]).is_some(),
        "flit_core" | "flit" => module || tool(&["flit", "module"]).is_some(),
        "uv_build" => module || tool(&["uv", "build-backend"]).is_some(),
        "setuptools" => {
            let stated =
                ["packages", "py-modules", "package-dir"].iter().any(|key| tool(&["setuptools", key]).is_some());
            stated || setuptools_finds(tree, directory)
        }
        _ => true,
    }
}

/// Setuptools' automatic discovery refuses several packages or modules side by side.
fn setuptools_finds(tree: &SourceTree, directory: &str) -> bool {
    let there = |name: &str| tree.has_file(&inside(directory, name));
    if there("setup.py") || there("setup.cfg") || tree.has_directory(&inside(directory, "src")) {
        return true;
    }
    let skip = if directory.is_empty() { 0 } else { directory.len() + 1 };
    let (mut packages, mut modules) = (std::collections::BTreeSet::new(), 0);
    for (path, _) in tree.below(directory) {
        let path = &path[skip..];
        let identifier = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match path.split_once('/') {
            Some((name, _)) if identifier(name) && !NO_PACKAGES.contains(&name) => {
                packages.insert(name);
            }
            None => modules += usize::from(path.strip_suffix(".py").is_some_and(|stem| !NO_MODULES.contains(&stem))),
            Some(_) => {}
        }
    }
    match packages.len() {
        0 => modules <= 1,
        count => count == 1,
    }
}

fn find<'a, 'i>(value: Option<&'a DeValue<'i>>, path: &[&str]) -> Option<&'a DeValue<'i>> {
    path.iter().try_fold(value?, |value, key| value.get(key).map(Spanned::get_ref))
}

#[cfg(test)]
mod tests {
    use super::super::pyproject::parse;
    use super::*;

    #[test]
    fn backends_find_what_they_ship() {
        let system = |backend: &str| {
            format!("[build-system]\nrequires=[]\nbuild-backend='{backend}'\n[project]\nname='My-Shop'\n")
        };
        for (text, files, expected) in [
            ("[project]\nname='shop'\n".to_owned(), vec!["shop/a.py"], false),
            (system("poetry.core.masonry.api"), vec!["app/a.py"], false),
            (system("poetry.core.masonry.api"), vec!["my_shop/a.py"], true),
            (system("poetry.core.masonry.api") + "[tool.poetry]\npackages=[{include='app'}]\n", vec!["app/a.py"], true),
            (system("poetry.core.masonry.api") + "[tool.poetry]\npackage-mode=false\n", vec!["my_shop/a.py"], false),
            (system("hatchling.build"), vec!["src/my_shop/a.py"], true),
            (system("hatchling.build"), vec!["main.py"], false),
            (system("setuptools.build_meta"), vec!["app/a.py"], true),
            (system("setuptools.build_meta"), vec!["app/a.py", "static/x.css"], false),
            (system("setuptools.build_meta"), vec!["app/a.py", "tests/x.py"], true),
            (system("setuptools.build_meta"), vec!["app/a.py", "static/x.css", "setup.py"], true),
            (system("setuptools.build_meta"), vec!["a.py", "b.py"], false),
            (system("setuptools.build_meta") + "[tool.uv]\npackage=false\n", vec!["a.py"], false),
            (system("uv_build"), vec!["main.py"], false),
            (system("flit_core.buildapi"), vec!["my_shop.py"], true),
            (system("mesonpy"), vec![], true),
            (system("pdm.pep517.api"), vec![], true),
            (system("pdm.pep517.api").replace("My-Shop", ""), vec![], false),
        ] {
            let tree = SourceTree::of_texts(files.iter().map(|path| (*path, "")));
            let root = parse("pyproject.toml", &text).unwrap();
            assert_eq!(is_package(&root, &tree, ""), expected, "{text} {files:?}");
        }
    }
}
