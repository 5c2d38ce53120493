//! Groups of dependencies (PEP 735, Poetry, PDM): which of them belong to the deployed application.

use serde_json::json;

use super::super::dockerfile::says;
use super::dockerfile;
use crate::model::origin::{Decision, Origin};
use crate::toolchain::findings::Inspection;

/// Groups that only developers need, from `[facts.groups]`.
pub(super) fn development(facts: &toml::Table) -> Vec<String> {
    named(facts, "development")
}

/// Groups that are there for deployment, from `[facts.groups]`.
pub(super) fn production(facts: &toml::Table) -> Vec<String> {
    named(facts, "production")
}

fn named(facts: &toml::Table, kind: &str) -> Vec<String> {
    let list = facts.get("groups").and_then(|groups| groups.get(kind)).and_then(toml::Value::as_array);
    list.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// The groups that the Dockerfile which starts the application installs for it, with the decision: `uv sync --group bot`
/// (uv, "Command-line interface"), `poetry install --with bot` (Poetry, "Commands"), `pdm install -G bot` (PDM, "CLI
/// Reference"). Those for developers do not count.
pub(super) fn of_dockerfile(inspection: &Inspection<'_>) -> (Vec<String>, Option<Decision>) {
    let Some((path, _)) = dockerfile::started(inspection.tree, inspection.directory) else { return (Vec::new(), None) };
    let development = development(inspection.facts);
    let (mut groups, mut line) = (Vec::new(), None);
    for said in says::installs(inspection.tree.text(&path).unwrap_or_default()) {
        let is = |names: &[&str]| said.words.iter().any(|word| names.contains(&word.as_str()));
        if !is(&["uv", "poetry", "pdm"]) || !is(&["install", "sync", "export"]) {
            continue;
        }
        for (index, word) in said.words.iter().enumerate() {
            let (option, value) =
                word.split_once('=').unwrap_or((word, said.words.get(index + 1).map_or("", String::as_str)));
            if !["--group", "--only-group", "--with", "--only", "-G"].contains(&option) {
                continue;
            }
            let named = value.split(',').map(str::trim).filter(|name| !name.is_empty() && !name.starts_with('-'));
            let meant = named.filter(|name| *name != "main" && !development.iter().any(|one| one == name));
            groups.extend(meant.map(str::to_owned));
            line = line.or(Some(said.line)).filter(|_| !groups.is_empty());
        }
    }
    groups.sort_unstable();
    groups.dedup();
    let decision = line.map(|line| Decision {
        key: "groups".into(),
        value: json!(groups),
        origin: Origin::file(&path, Some(line), "what it installs"),
        rejected: Vec::new(),
    });
    (groups, decision)
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;

    #[test]
    fn what_a_dockerfile_installs() {
        let project = "[project]\nname='shop'\nversion='1'\ndependencies=[]\n[dependency-groups]\nbot=['gevent']\n";
        let lock = "version = 1\n[[package]]\nname='shop'\nversion='1'\nsource={virtual='.'}\n\
                    [package.dev-dependencies]\nbot=[{name='gevent'}]\nprod=[{name='six'}]\ndev=[{name='pytest'}]\n\
                    [[package]]\nname='gevent'\nversion='1'\nsource={registry='r'}\nsdist={url='u',hash='sha256:a'}\n\
                    [[package]]\nname='six'\nversion='1'\nsource={registry='r'}\nsdist={url='u',hash='sha256:b'}\n\
                    [[package]]\nname='pytest'\nversion='1'\nsource={registry='r'}\nsdist={url='u',hash='sha256:c'}\n";
        for (run, expected) in [
            ("uv sync --frozen --group bot --no-group admin --group dev", "gevent six"),
            ("uv sync --group=bot", "gevent six"),
            ("poetry install --with bot,dev", "gevent six"),
            ("pdm install -G bot", "gevent six"),
            ("uv sync --frozen", "six"),
            ("apt-get install --with bot", "six"),
        ] {
            let docker = format!("FROM python\nRUN {run}\nCMD [\"python\", \"-m\", \"shop\"]\n");
            let main = "if __name__ == '__main__':\n    print()\n";
            let files = [
                ("pyproject.toml", project),
                ("uv.lock", lock),
                ("Dockerfile", &docker),
                ("shop/__main__.py", main),
                ("shop/__init__.py", ""),
            ];
            let text = found(&files).files["/slipway/locked.txt"].clone();
            let names = ["gevent", "pytest", "six"].into_iter().filter(|name| text.contains(&format!("{name}==")));
            assert_eq!(names.collect::<Vec<_>>().join(" "), expected, "{run}");
        }
    }
}
