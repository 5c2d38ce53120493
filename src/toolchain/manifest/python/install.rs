//! What the Dockerfile that starts the application installs, although it is not built.

use super::super::dockerfile::says;
use super::dockerfile::started;
use super::groups;
use super::text::inside;
use crate::model::origin::{Found, Origin};
use crate::toolchain::findings::Inspection;

/// The requirements file of another name that the Dockerfile which starts the application installs (`pip install -r`): its
/// author's word on what the application needs.
pub(super) fn requirements(inspection: &Inspection<'_>) -> Option<String> {
    let (tree, directory) = (inspection.tree, inspection.directory);
    let (path, _) = started(tree, directory)?;
    let development = groups::development(inspection.facts);
    let said = says::builds(tree.text(&path)?);
    let installed = said.iter().filter(|said| said.words.iter().any(|word| word == "install" || word == "sync"));
    let named = installed.flat_map(|said| said.words.windows(2)).filter_map(|pair| match pair[0].as_str() {
        "-r" | "--requirement" => Some(pair[1].as_str()),
        _ => pair[1].strip_prefix("--requirement="),
    });
    let aside = |path: &str| {
        let mut words = path.split(|c: char| !c.is_ascii_alphanumeric());
        words.any(|word| development.iter().any(|group| group == word))
    };
    let named: Vec<&str> = named.collect();
    // A directory's name says less than the file's: `docs/requirements.txt` may be the only one that there is.
    let by_path = named.iter().filter(|path| !aside(path));
    let by_name = named.iter().filter(|path| !aside(path.rsplit('/').next().unwrap_or_default()));
    // The Dockerfile may have put it elsewhere than where it lies in the repository.
    by_path.chain(by_name).find_map(|path| {
        let path = path.trim_start_matches("./").trim_start_matches('/');
        let mut places = std::iter::successors(Some(path), |path| path.split_once('/').map(|(_, rest)| rest));
        places.find(|place| tree.has_file(&inside(directory, place))).map(str::to_owned)
    })
}

/// The requirements files that the Dockerfile which starts the application installs, relative to the application's directory and
/// with their lines. What a project takes for its own image is more than the usual file where it names several, and
/// another one where it copies that under the usual name (`COPY requirements-prod.txt requirements.txt`): then the name that it
/// has there stands beside it.
pub(super) fn files(inspection: &Inspection<'_>) -> Vec<(Found<String>, String)> {
    let (tree, directory) = (inspection.tree, inspection.directory);
    let Some((dockerfile, _)) = started(tree, directory) else { return Vec::new() };
    let text = tree.text(&dockerfile).unwrap_or_default();
    let renamed = says::renamed(text);
    let development = groups::development(inspection.facts);
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let aside = |path: &str| {
        let name = name(path);
        let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
        words.any(|word| word == "local" || development.iter().any(|group| group == word))
    };
    let mut found: Vec<(Found<String>, String)> = Vec::new();
    for said in says::installs(text).iter().filter(|said| said.words.iter().any(|word| word == "install")) {
        for pair in said.words.windows(2).filter(|pair| pair[0] == "-r" || pair[0] == "--requirement") {
            let called = name(&pair[1]);
            let source = renamed.iter().find(|(_, to)| name(to) == called).map(|(from, _)| from.as_str());
            let path = source.unwrap_or(&pair[1]).trim_start_matches("./").trim_start_matches('/');
            let mut places = std::iter::successors(Some(path), |path| path.split_once('/').map(|(_, rest)| rest));
            let Some(place) = places.find(|place| tree.has_file(&inside(directory, place))) else { continue };
            if !aside(place) && found.iter().all(|(known, _)| known.value != place) {
                let origin = Origin::file(&dockerfile, Some(said.line), "what it installs");
                found.push((Found::new(place.to_owned(), origin), called));
            }
        }
    }
    found
}

/// Whether the Dockerfile that starts the application installs the project itself: `pip install .`, `python setup.py install`.
pub(super) fn installs_project(inspection: &Inspection<'_>) -> bool {
    let started = started(inspection.tree, inspection.directory);
    let said = started.and_then(|(path, _)| inspection.tree.text(&path)).map(says::builds).unwrap_or_default();
    let own = |word: &String| word == "." || word.starts_with(".[") || word == "setup.py";
    said.iter().any(|said| said.words.iter().any(|word| word == "install") && said.words.iter().any(own))
}

/// Options by which an installer leaves the project itself out (`poetry install`, `uv sync`, `pdm install`; their references).
const WITHOUT_PROJECT: &[&str] = &["--no-root", "--no-install-project", "--no-install-workspace", "--no-self"];

/// Whether the Dockerfile that starts the application has its dependencies installed and never the project: its author runs it
/// from its files, and whether it can be installed nobody has tried.
pub(super) fn leaves_out_project(inspection: &Inspection<'_>) -> bool {
    let Some((path, _)) = started(inspection.tree, inspection.directory) else { return false };
    let text = inspection.tree.text(&path).unwrap_or_default();
    let program = |word: &String| word.rsplit('/').next().is_some_and(|name| ["poetry", "uv", "pdm"].contains(&name));
    let called = |words: &[String], verbs: &[&str]| {
        words.windows(2).filter(|pair| program(&pair[0]) && verbs.contains(&pair[1].as_str())).count()
    };
    let said = says::installs(text);
    let installs = |said: &says::Said| called(&said.words, &["install", "sync"]);
    // One instruction may run several.
    let without = |said: &says::Said| {
        said.words.iter().filter(|word| WITHOUT_PROJECT.contains(&word.as_str())).count() >= installs(said)
    };
    // `uv run` brings everything up to date first, the project too (uv's reference).
    let updates =
        |said: &says::Said| called(&said.words, &["run"]) > 0 && said.words.iter().any(|word| word.ends_with("uv"));
    let starts = says::starts(text);
    said.iter().any(|said| installs(said) > 0)
        && said.iter().all(without)
        && !said.iter().chain(&starts).any(updates)
        && !installs_project(inspection)
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;

    const PROJECT: &str = "[build-system]\nrequires=['setuptools']\n[project]\nname='shop'\ndependencies=['flask']\n";
    const APP: &str = "from flask import Flask\napp = Flask(__name__)\n";

    #[test]
    fn a_requirements_file_of_another_name() {
        for (run, expected) in [
            ("pip install -r requirements/web.pip", "requirements/web.pip"),
            ("pip install --requirement=/src/requirements/web.pip", "requirements/web.pip"),
            ("pip install -U -r requirements/dev.pip", "project"),
            ("pip install -r docs/requirements.txt", "docs/requirements.txt"),
            ("pip install -r docs/requirements.txt -r requirements/web.pip", "requirements/web.pip"),
            ("pip install -r other.txt", "project"),
            ("pip install .", "project"),
        ] {
            let docker = format!("FROM python\nCOPY . /src\nRUN {run}\nCMD [\"flask\", \"run\"]\n");
            let findings = found(&[
                ("pyproject.toml", PROJECT),
                ("Dockerfile", docker.as_str()),
                ("app.py", APP),
                ("requirements/web.pip", "flask==3.0.3\n"),
                ("requirements/dev.pip", "pytest\n"),
                ("docs/requirements.txt", "flask==3.0.2\n"),
            ]);
            let install = findings.decisions.iter().find(|decision| decision.key == "install").unwrap();
            assert_eq!(install.value, expected, "{run}");
        }
    }

    #[test]
    fn a_project_that_its_author_never_installs() {
        const LOCK: &str = "version = 1\nrequires-python = '>=3.9'\n[[package]]\nname = 'shop'\nversion = '1'\n\
             source = { editable = '.' }\ndependencies = [{ name = 'flask' }]\n[[package]]\nname = 'flask'\nversion = '3.0.3'\n\
             source = { registry = 'https://example.com/simple' }\nsdist = { hash = 'sha256:11' }\n";
        for (run, cmd, expected) in [
            ("uv sync --frozen --no-install-project", "[\"flask\", \"run\"]", false),
            ("cd /src && poetry install --no-root --only main", "[\"flask\", \"run\"]", false),
            ("uv sync --frozen", "[\"flask\", \"run\"]", true),
            ("uv sync --no-install-project\nRUN uv sync --frozen", "[\"flask\", \"run\"]", true),
            ("uv sync --no-install-project && uv sync --frozen", "[\"flask\", \"run\"]", true),
            ("uv sync --no-install-project\nRUN uv pip install .", "[\"flask\", \"run\"]", true),
            ("uv sync --no-install-project", "[\"uv\", \"run\", \"flask\", \"run\"]", true),
            ("pip install flask", "[\"flask\", \"run\"]", true),
        ] {
            let docker = format!("FROM python\nCOPY . /src\nRUN {run}\nCMD {cmd}\n");
            let findings = found(&[
                ("pyproject.toml", PROJECT),
                ("uv.lock", LOCK),
                ("Dockerfile", docker.as_str()),
                ("app.py", APP),
            ]);
            assert_eq!(findings.variables["package"], expected, "{run}");
        }
    }

    #[test]
    fn more_requirements_files_than_the_usual_one() {
        for (lines, expected) in [
            (
                "RUN pip install -r requirements.txt -r requirements-docker.txt",
                "requirements.txt requirements-docker.txt",
            ),
            (
                "COPY *.txt /tmp/\nRUN pip install -r /tmp/requirements.txt && pip install -r /tmp/requirements-docker.txt",
                "requirements.txt requirements-docker.txt",
            ),
            ("RUN pip install -r requirements.txt -r requirements-dev.txt", "requirements.txt"),
            (
                "COPY requirements-docker.txt ./requirements.txt\nRUN pip install -r requirements.txt",
                "requirements-docker.txt",
            ),
            // Nobody knows what the usual file is for then.
            ("RUN pip install -r requirements-docker.txt", "requirements.txt"),
            ("RUN pip install -r requirements.txt\nFROM python AS x", "requirements.txt"),
        ] {
            let docker = format!("FROM python\nCOPY . /src\n{lines}\nCMD [\"flask\", \"run\"]\n");
            let findings = found(&[
                ("Dockerfile", docker.as_str()),
                ("app.py", APP),
                ("requirements.txt", "flask==3.0.3\n"),
                ("requirements-docker.txt", "flask\ngunicorn==22.0.0\n"),
                ("requirements-dev.txt", "pytest\n"),
            ]);
            let files = findings.variables["requirements_files"].as_array().unwrap().clone();
            let files: Vec<&str> = files.iter().filter_map(|file| file.as_str()).collect();
            assert_eq!(files.join(" "), expected, "{lines}");
            let brought = expected.contains("docker");
            assert_eq!(findings.variables["server_requirement"].is_null(), brought, "{lines}");
        }
    }

    #[test]
    fn a_project_that_adds_to_itself_is_installed_where_its_dockerfile_has_it() {
        let setup = "from setuptools import setup\nsetup(entry_points={'shop.plugins': ['till = shop.till:Till']})\n";
        for (setup, run, expected) in [
            (setup, "pip install -r requirements.txt && pip install .", true),
            (setup, "pip install -r requirements.txt", false),
            ("from setuptools import setup\nsetup()\n", "pip install -r requirements.txt && pip install .", false),
        ] {
            let docker = format!("FROM python\nCOPY . /src\nRUN {run}\nCMD [\"flask\", \"run\"]\n");
            let texts = [
                ("setup.py", setup),
                ("Dockerfile", docker.as_str()),
                ("app.py", APP),
                ("requirements.txt", "flask\n"),
            ];
            let findings = found(&texts);
            assert_eq!(findings.variables["package"], expected, "{run}");
        }
    }
}
