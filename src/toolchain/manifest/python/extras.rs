//! Which extras of the project are installed (`[project.optional-dependencies]`).

use serde_json::json;

use super::super::dockerfile::says::{self, Said};
use super::dockerfile;
use super::groups;
use super::pyproject::Pyproject;
use super::requirement::{Requirement, normalise};
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::{Decision, Origin};
use crate::toolchain::findings::Inspection;

/// The extras that are asked for, which the project has to know; where nobody asks, those that the repository's Dockerfile
/// installs for what it starts, with the decision.
///
/// # Errors
/// `plan_invalid` for one that the project has not.
pub(super) fn asked(
    inspection: &Inspection<'_>,
    project: Option<&Pyproject>,
) -> Result<(Vec<String>, Option<Decision>), Failure> {
    let asked: Vec<String> = inspection.extras.iter().map(|extra| normalise(extra)).collect();
    let Some(project) = project.filter(|project| !project.dynamic) else { return Ok((asked, None)) };
    if let Some(unknown) = asked.iter().find(|extra| !project.extras.contains_key(*extra)) {
        return Err(Failure::new(FailureCode::PlanInvalid, format!("the project has no extra `{unknown}`"))
            .hint("set `toolchain.extras` to some of those that are named")
            .candidates(project.extras.keys().cloned()));
    }
    if !asked.is_empty() {
        return Ok((asked, None));
    }
    let Some((extras, origin)) = of_dockerfile(inspection, project) else { return Ok((asked, None)) };
    let decision = Decision { key: "extras".into(), value: json!(extras), origin, rejected: Vec::new() };
    Ok((extras, Some(decision)))
}

/// What the Dockerfile that starts the application installs, and the line that does.
fn of_dockerfile(inspection: &Inspection<'_>, project: &Pyproject) -> Option<(Vec<String>, Origin)> {
    let (path, _) = dockerfile::started(inspection.tree, inspection.directory)?;
    let development = groups::development(inspection.facts);
    let installed = says::builds(inspection.tree.text(&path)?);
    installed.iter().filter(|said| said.words.iter().any(|word| word == "install" || word == "sync")).find_map(|said| {
        let named = |extra: &&String| !development.contains(extra) && names(said, extra, project);
        let extras: Vec<String> = project.extras.keys().filter(named).cloned().collect();
        (!extras.is_empty()).then(|| (extras, Origin::file(&path, Some(said.line), "what it installs")))
    })
}

/// Whether the Dockerfile that starts the application speaks of one of these files.
pub(super) fn names_any(inspection: &Inspection<'_>, files: &[&str]) -> bool {
    let started = dockerfile::started(inspection.tree, inspection.directory);
    let said = started.and_then(|(path, _)| inspection.tree.text(&path)).map(says::builds).unwrap_or_default();
    let words = said.iter().flat_map(|said| &said.words);
    words.into_iter().any(|word| files.iter().any(|file| word.ends_with(file)))
}

/// Whether words install an extra: `.[web]` (pip), `--extra web` (uv), `--extras web` (Poetry), or all that it would bring
/// by their names.
fn names(said: &Said, extra: &str, project: &Pyproject) -> bool {
    let among = |list: &str| list.split([',', ' ']).any(|one| normalise(one) == extra);
    let words = said.words.iter().enumerate();
    let stated = words.into_iter().any(|(index, word)| {
        // `--extras "db web"` are two words behind it.
        let option = said.words[..index].iter().rfind(|word| word.starts_with('-')).map_or("", String::as_str);
        match word.strip_suffix(']').and_then(|word| word.split_once('[')) {
            Some((place, list)) => {
                (place.starts_with(['.', '/']) || normalise(place) == normalise(&project.name)) && among(list)
            }
            None if matches!(option, "--extra" | "--extras" | "-E") => among(word),
            None => {
                word == "--all-extras"
                    || word.strip_prefix("--extras=").or(word.strip_prefix("--extra=")).is_some_and(among)
            }
        }
    });
    let brought = |requirement: &Requirement| {
        let parsed = said.words.iter().filter(|word| !word.starts_with(['-', '/', '.']));
        parsed
            .filter_map(|word| Requirement::parse(word, requirement.origin.clone()))
            .any(|r| r.name == requirement.name)
    };
    let list = &project.extras[extra];
    stated || !list.is_empty() && list.iter().all(brought)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{FACTS, found};
    use crate::model::source_tree::SourceTree;

    #[test]
    fn what_a_dockerfile_installs() {
        let project = "[build-system]\nrequires=['setuptools']\n[project]\nname='shop'\ndependencies=['flask']\n\
                       [project.optional-dependencies]\nweb=['gevent','x[y]']\ndb=['psycopg']\ndev=['pytest']\n";
        for (run, expected) in [
            ("pip install '.[web,dev]'", "web @3"),
            ("pip install --no-cache-dir -e .[DB]", "db @3"),
            ("pip install shop[db]", "db @3"),
            ("pip install uvicorn[web]", ""),
            ("uv sync --frozen --extra db", "db @3"),
            ("poetry install --extras \"db web\"", "db web @3"),
            ("uv sync --all-extras", "db web @3"),
            ("pip install gevent>=1 x && pip install .", "web @3"),
            ("pip install gevent && pip install .", ""),
            ("pip install .", ""),
            ("echo db", ""),
        ] {
            let docker = format!("FROM python\nCOPY . .\nRUN {run}\nCMD [\"flask\", \"run\"]\n");
            let app = "from flask import Flask\napp = Flask(__name__)\n";
            let findings = found(&[("pyproject.toml", project), ("Dockerfile", &docker), ("shop/__init__.py", app)]);
            let decision = findings.decisions.iter().find(|decision| decision.key == "extras");
            let said = decision.map(|decision| {
                let names = decision.value.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                format!("{} @{}", names.collect::<Vec<_>>().join(" "), decision.origin.line.unwrap())
            });
            assert_eq!(said.unwrap_or_default(), expected, "{run}");
            let installed = findings.variables["extras"].as_array().unwrap().len();
            assert_eq!(installed, expected.split_whitespace().filter(|word| !word.starts_with('@')).count(), "{run}");
        }
    }

    #[test]
    fn the_project_with_its_extras_is_installed_instead_of_a_file_that_the_dockerfile_passes_over() {
        let project = "[build-system]\nrequires=['setuptools']\n[project]\nname='shop'\n\
                       [project.optional-dependencies]\nweb=['flask']\n";
        for (run, expected) in [
            ("pip install gunicorn /shop[web]", "project"),
            ("pip install -r requirements.txt && pip install /shop[web]", "requirements"),
            ("pip install /shop", "requirements"),
        ] {
            let docker = format!("FROM python\nCOPY . /shop\nRUN {run}\nCMD [\"gunicorn\", \"shop:app\"]\n");
            let app = "from flask import Flask\napp = Flask(__name__)\n";
            let files = [
                ("pyproject.toml", project),
                ("requirements.txt", "flask\n"),
                ("Dockerfile", &docker),
                ("shop/__init__.py", app),
            ];
            assert_eq!(found(&files).variables["install"], serde_json::json!(expected), "{run}");
        }
    }

    #[test]
    fn who_asks_is_not_overruled() {
        let project = "[build-system]\nrequires=['setuptools']\n[project]\nname='shop'\n\
                       [project.optional-dependencies]\nweb=['gevent']\ndb=['psycopg']\n";
        let docker = "FROM python\nRUN pip install .[web]\nCMD [\"python\", \"-m\", \"shop\"]\n";
        let files = [
            ("pyproject.toml", project),
            ("Dockerfile", docker),
            ("shop/__main__.py", "print()"),
            ("shop/__init__.py", ""),
        ];
        let tree = SourceTree::of_texts(files);
        let extras = ["db".to_owned()];
        let mut inspection = super::super::tests::inspection(&tree);
        (inspection.extras, inspection.facts) = (&extras, &FACTS);
        let findings = super::super::read(&inspection).unwrap();
        assert_eq!(findings.variables["extras"], serde_json::json!(["db"]));
        assert!(findings.decisions.iter().all(|decision| decision.key != "extras"));
    }
}
