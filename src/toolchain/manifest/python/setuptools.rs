//! What `setup.py` and `setup.cfg` say that a project needs: `install_requires` (setuptools, "Dependencies Management in
//! Setuptools"), read and not run.

use super::module::Argument;
use super::requirement::Requirement;
use super::source;
use super::text::{inside, line_of};
use crate::model::origin::Origin;
use crate::model::source_tree::SourceTree;

/// What is written out there; what `setup.py` reads from elsewhere is not known.
pub(super) fn requirements(tree: &SourceTree, directory: &str) -> Vec<Requirement> {
    let (cfg, py) = (inside(directory, "setup.cfg"), inside(directory, "setup.py"));
    let of_cfg = tree.text(&cfg).map(|text| setup_cfg(&cfg, text)).unwrap_or_default();
    of_cfg.into_iter().chain(tree.text(&py).map(|text| setup_py(&py, text)).unwrap_or_default()).collect()
}

/// The indented lines below `install_requires` of `[options]`, or what stands behind it.
fn setup_cfg(path: &str, text: &str) -> Vec<Requirement> {
    let (mut section, mut inside, mut found) = ("", false, Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let indented = line.starts_with([' ', '\t']);
        let mut stated = line.trim();
        if let Some(name) = stated.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|_| !indented) {
            (section, inside) = (name, false);
        } else if !indented && !stated.is_empty() && !stated.starts_with(['#', ';']) {
            let key = stated.split_once(['=', ':']).filter(|(key, _)| key.trim() == "install_requires");
            inside = key.is_some() && section == "options";
            stated = key.map_or("", |(_, value)| value.trim());
        }
        if inside && !stated.starts_with(['#', ';']) {
            found.extend(Requirement::parse(stated, Origin::file(path, Some(number), "install_requires")));
        }
    }
    found
}

/// `setup(install_requires=["flask==3.0.3"])`, or a list of the module that has a name.
fn setup_py(path: &str, text: &str) -> Vec<Requirement> {
    let Some(module) = source::parse(text) else { return Vec::new() };
    let of_setup = module.calls.iter().filter(|call| call.callee.dotted.rsplit('.').next() == Some("setup"));
    let stated = of_setup.flat_map(|call| &call.keywords).filter(|(key, _)| key == "install_requires");
    let texts = stated.flat_map(|(_, value)| match value {
        Argument::Strings(list) => list.clone(),
        Argument::Name(name) => {
            let named = module.assignments.iter().find(|assignment| assignment.target == *name);
            // What a call gives is made of its texts in its own way.
            let listed = named.filter(|named| matches!(named.value, super::module::Value::Other));
            listed.map(|named| named.strings.clone()).unwrap_or_default()
        }
        _ => Vec::new(),
    });
    let parsed = texts.filter_map(|one| {
        let line = text.find(&one).map(|at| line_of(text, at));
        Requirement::parse(&one, Origin::file(path, line, "install_requires"))
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_out() {
        let list = "from setuptools import setup\nNEEDS = ['a==1', 'b']\nsetup(\n    name='x',\n    install_requires=[\n        'flask==3.0.3',  # web\n        \"gevent\",\n    ],\n    tests_require=['c'],\n)\n";
        let cfg = "[metadata]\nname = x\n[options]\ninstall_requires =\n    flask>=3\n    # old\n    bcrypt>=4.0,<5\nzip_safe = False\n[options.extras_require]\npam = python-pam\n";
        for (name, text, expected) in [
            ("setup.py", list, "6 flask, 7 gevent"),
            ("setup.py", "NEEDS = ['a==1', 'b']\nsetup(install_requires=NEEDS)", "1 a, 1 b"),
            ("setup.py", "setup(install_requires=open('requirements.txt').readlines())", ""),
            ("setup.py", "needs = read('requirements.txt')\nsetup(install_requires=needs)", ""),
            ("setup.cfg", cfg, "5 flask, 7 bcrypt"),
            ("setup.cfg", "[options]\ninstall_requires = flask\n  gevent\n", "2 flask, 3 gevent"),
            ("setup.cfg", "[other]\ninstall_requires = flask\n", ""),
        ] {
            let found = requirements(&SourceTree::of_texts([(name, text)]), "");
            let said: Vec<_> = found.iter().map(|r| format!("{} {}", r.origin.line.unwrap(), r.name)).collect();
            assert_eq!(said.join(", "), expected, "{text}");
        }
    }
}
