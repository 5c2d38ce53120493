//! Hostile repositories: no panic, and no origin beside the files.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::inspect;
use crate::model::origin::Origin;
use crate::model::source_tree::SourceTree;
use crate::toolchain::findings::Findings;

/// A module of a million bytes that multiplies whatever is looked up.
#[test]
fn a_hostile_module_takes_no_long_time() {
    let mut module = "from flask import Flask\n".to_owned();
    for number in 0..12_000 {
        let (half, next) = (number / 2, number + 1);
        writeln!(module, "def f{number}():\n    return f{half}()\n    return f{next}()\nx{number} = f{number}()")
            .unwrap();
    }
    let tree = SourceTree::of_texts([("requirements.txt", "flask"), ("app.py", module.as_str())]);
    assert!(inspect(&tree, |_| {}).is_err());
}

fn origins(findings: &Findings) -> Vec<Origin> {
    let mut all: Vec<Origin> = findings.versions.iter().map(|found| found.origin.clone()).collect();
    all.extend(findings.processes.iter().map(|process| process.origin.clone()));
    all.extend(findings.ports.iter().map(|found| found.origin.clone()));
    all.extend(findings.image_env.values().map(|found| found.origin.clone()));
    for decision in &findings.decisions {
        all.push(decision.origin.clone());
        all.extend(decision.rejected.iter().map(|rejected| rejected.origin.clone()));
    }
    all
}

/// Lines that a hostile or merely odd file may be made of.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("from flask import Flask".to_owned()),
        Just("app = Flask(__name__)".to_owned()),
        Just("def create_app(x=1):".to_owned()),
        Just("    return create_app()".to_owned()),
        Just("if __name__ == '__main__':".to_owned()),
        Just("from . import *; from .app import app as app".to_owned()),
        Just("    a.listen(99999999999999999999)".to_owned()),
        Just("flask>=1 \\".to_owned()),
        Just("-r other.txt".to_owned()),
        Just("[tool.poetry.dependencies]\npython = '^3'".to_owned()),
        Just("[project]\nrequires-python = '~=3.9'".to_owned()),
        Just("python 3.11".to_owned()),
        Just("web: python app.py".to_owned()),
        "\\PC{0,40}",
        "[-a-z=<>.~^'\"\\[\\]#\\\\;@ \t\r]{0,30}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(line(), 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn never_panics_and_origins_point_at_lines(
        texts in prop::collection::vec(text(), 9),
        requirements in prop_oneof![Just("flask\ntornado\ndjango".to_owned()), text()],
        module in prop::option::of("\\PC{0,20}"),
    ) {
        let paths = ["app.py", "a/__init__.py", "manage.py", "wsgi.py", "other.txt", "Procfile", ".python-version", "pyproject.toml", "Pipfile"];
        let mut files: Vec<(&str, &str)> = paths.into_iter().zip(texts.iter().map(String::as_str)).collect();
        files.push(("requirements.txt", &requirements));
        // Each manifest that does not parse hides the others: try with and without.
        for kept in [files.len(), 7, 4] {
            let mut some = files[..kept.min(9)].to_vec();
            some.push(("requirements.txt", &requirements));
            let tree = SourceTree::of_texts(some.iter().copied());
            let places: Vec<(String, u32)> = match inspect(&tree, |inspection| inspection.module = module.as_deref()) {
                Ok(findings) => origins(&findings).into_iter().filter_map(|o| Some((o.path?, o.line?)))
                    .chain(findings.warnings.iter().filter_map(|w| Some((w.path.clone()?, w.line?)))).collect(),
                Err(failure) => failure.places.into_iter().filter_map(|p| Some((p.path, p.line?))).collect(),
            };
            for (path, line) in places {
                let lines = tree.text(&path).map_or(0, |text| text.lines().count().max(1));
                prop_assert!(line >= 1 && line as usize <= lines, "{path}:{line} of {lines}");
            }
        }
    }
}
