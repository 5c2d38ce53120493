//! Distributions that a repository brings along: they are found by imports, and are no part of the application.

use std::collections::BTreeMap;

use crate::model::source_tree::SourceTree;

/// Packages that many bring along: a directory with several of them holds distributions and nothing of the application.
const BROUGHT: &[&str] = &[
    "attr",
    "bs4",
    "certifi",
    "chardet",
    "charset_normalizer",
    "cherrypy",
    "click",
    "dateutil",
    "docutils",
    "html5lib",
    "idna",
    "jinja2",
    "mako",
    "markupsafe",
    "paste",
    "pkg_resources",
    "pytz",
    "requests",
    "setuptools",
    "simplejson",
    "tornado",
    "urllib3",
    "werkzeug",
    "yaml",
];
/// How many of them.
const SEVERAL: usize = 3;

/// Directories below the application's that hold several distributions, as vendored ones do.
pub(super) fn directories<'a>(tree: &'a SourceTree, directory: &'a str) -> Vec<&'a str> {
    let packages = tree.below(directory).filter_map(|(path, _)| path.strip_suffix("/__init__.py"));
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, _) in packages.filter_map(|path| path.rsplit_once('/')).filter(|(_, name)| BROUGHT.contains(name)) {
        *places.entry(place).or_default() += 1;
    }
    let of_others = |(place, count): (&'a str, usize)| (count >= SEVERAL && place != directory).then_some(place);
    places.into_iter().filter_map(of_others).collect()
}
