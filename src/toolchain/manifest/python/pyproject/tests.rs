//! `pyproject.toml` in, what it declares out.

use super::*;

fn read_one(text: &str) -> Result<Pyproject, Failure> {
    read(&SourceTree::of_texts([("pyproject.toml", text)]), "pyproject.toml", &super::super::tests::FACTS, &[])
        .map(Option::unwrap)
}

fn texts(found: &Pyproject) -> Vec<&str> {
    found.dependencies.iter().map(|r| r.text.as_str()).collect()
}

#[test]
fn pep_621() {
    let found = read_one(
        "[build-system]\nrequires=['hatchling']\n[project]\nname = 'shop'\nrequires-python = '>=3.10'\n\
             dependencies = [\n  'Flask>=3',\n  'gunicorn',\n]\n",
    )
    .unwrap();
    assert_eq!(texts(&found), ["Flask>=3", "gunicorn"]);
    assert_eq!(found.dependencies[1].origin.line, Some(8));
    assert_eq!(found.versions[0].origin.line, Some(5));
    assert!(found.packaged && !found.dynamic && !found.poetry);
}

#[test]
fn poetry() {
    let found = read_one(
            "[tool.poetry]\nname='x'\npackage-mode = false\n[tool.poetry.dependencies]\npython = '^3.10'\nflask = '^3.0'\n\
             uvicorn = {version='~0.30', extras=['standard']}\nlib = {git='https://e.com/l.git', tag='v1'}\n\
             extra = {version='1', optional=true}\nlocal = {path='../x'}\n[tool.poetry.group.dev.dependencies]\npytest='*'\n\
             [build-system]\nrequires=['poetry-core']\n",
        )
        .unwrap();
    let expected = ["flask>=3.0,<4", "uvicorn[standard]>=0.30,<0.31", "lib @ git+https://e.com/l.git@v1", "local"];
    let mut texts = texts(&found);
    texts.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(texts, expected);
    assert_eq!(found.warnings.len(), 1);
    assert_eq!(found.versions.len(), 2);
    assert!(found.poetry && !found.packaged);
}

#[test]
fn a_linters_settings_are_no_project() {
    let found = read_one("[tool.ruff]\nline-length = 100\n").unwrap();
    assert!(found.project.is_none());
}

#[test]
fn what_cannot_be_read_names_its_place() {
    for (text, line, column) in [
        ("[project]\nname = \n", 2, 8),
        ("[project]\ndependencies = ['flask', '!!']\n", 2, 26),
        ("[project]\nrequires-python = 'three'\n", 2, 19),
        ("[project]\n\nrequires-python = 3.11\n", 3, 19),
    ] {
        let failure = read_one(text).unwrap_err();
        let place = &failure.places[0];
        assert_eq!((place.line, place.column), (Some(line), Some(column)), "{text}: {failure}");
    }
}
