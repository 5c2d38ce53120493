//! What the reader of Python's manifests answers, compared with `packaging`, the library that pip itself asks.
//!
//! The inputs are generated from a fixed seed; each feature is in at least twenty of them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use slipway::model::source_tree::SourceTree;
use slipway::plan::plan;

use crate::projects::{catalog, request};

/// Reads `[[operation, left, right]]` and answers each; runs where pip brings `packaging` along.
const PROGRAM: &str = r#"
import json, sys
from pip._vendor.packaging.markers import Marker
from pip._vendor.packaging.specifiers import SpecifierSet
from pip._vendor.packaging.utils import canonicalize_name
def environment(patch):
    return {"python_version": ".".join(patch.split(".")[:2]), "python_full_version": patch, "implementation_version": patch,
            "os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64",
            "platform_python_implementation": "CPython", "implementation_name": "cpython", "extra": ""}
def answer(operation, left, right):
    if operation == "marker":
        return Marker(left).evaluate(environment(right))
    if operation == "specifier":
        return SpecifierSet(left).contains(right, prereleases=True)
    return canonicalize_name(left)
json.dump([answer(*question) for question in json.load(sys.stdin)], sys.stdout)
"#;

/// The releases that are offered, with the patch of each.
const PATCHES: [(&str, &str); 4] = [("3.9", "3.9.2"), ("3.11", "3.11.2"), ("3.13", "3.13.5"), ("3.14", "3.14.10")];

/// Numbers from a fixed seed (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn one_of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        list[usize::try_from(self.0 >> 33).unwrap() % list.len()]
    }
}

/// What `packaging` answers, in the build image of Python.
fn answers(questions: &[Value]) -> Vec<Value> {
    let script = "python3 -m venv /tmp/venv && exec /tmp/venv/bin/python -c \"$1\"";
    let mut child = Command::new("docker")
        .args(["run", "--rm", "--interactive", "--network=none", "slipway/build-python-3.13:latest"])
        .args(["sh", "-c", script, "sh", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("docker");
    child.stdin.take().unwrap().write_all(json!(questions).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "packaging gave no answers");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn marker(dice: &mut Dice, uses: &mut BTreeMap<&'static str, usize>) -> String {
    let mut note = |feature: &'static str| *uses.entry(feature).or_default() += 1;
    let mut term = |dice: &mut Dice| {
        let operator = dice.one_of(&["==", "!=", "<", "<=", ">", ">="]);
        match dice.one_of(&["version", "version", "full", "platform", "os", "implementation", "turned", "in"]) {
            "version" => {
                note("python_version");
                format!(
                    "python_version {operator} '{}'",
                    dice.one_of(&["3.8", "3.9", "3.10", "3.11", "3.13", "3.14", "4"])
                )
            }
            "full" => {
                note("python_full_version");
                format!(
                    "python_full_version {operator} '{}'",
                    dice.one_of(&["3.9.1", "3.11.2", "3.11.3", "3.13.0", "3.14.0"])
                )
            }
            "platform" => {
                note("sys_platform");
                format!("sys_platform {} '{}'", dice.one_of(&["==", "!="]), dice.one_of(&["linux", "win32", "darwin"]))
            }
            "os" => {
                note("os_name and platform_system");
                format!(
                    "os_name == '{}' or platform_system != '{}'",
                    dice.one_of(&["nt", "posix"]),
                    dice.one_of(&["Linux", "Windows"])
                )
            }
            "implementation" => {
                note("implementation");
                format!(
                    "platform_python_implementation {} '{}'",
                    dice.one_of(&["==", "!="]),
                    dice.one_of(&["CPython", "PyPy"])
                )
            }
            "turned" => {
                note("literal first");
                format!("'{}' {operator} python_version", dice.one_of(&["3.9", "3.10", "3.13"]))
            }
            _ => {
                note("in and not in");
                format!(
                    "sys_platform {} '{}'",
                    dice.one_of(&["in", "not in"]),
                    dice.one_of(&["linux linux2", "win32 cygwin"])
                )
            }
        }
    };
    let (first, second, third) = (term(dice), term(dice), term(dice));
    match dice.one_of(&["one", "and", "or", "nested"]) {
        "one" => first,
        "and" => {
            note("and");
            format!("{first} and {second}")
        }
        "or" => {
            note("or");
            format!("{first} or {second}")
        }
        _ => {
            note("parentheses");
            format!("({first} or {second}) and ({third})")
        }
    }
}

fn enough(kind: &str, uses: &BTreeMap<&'static str, usize>) {
    println!("{kind}: {uses:?}");
    assert!(uses.values().all(|count| *count >= 20), "{kind}: {uses:?}");
}

#[test]
fn markers_hold_where_packaging_says() {
    let (mut dice, mut uses) = (Dice(7), BTreeMap::new());
    let markers: Vec<String> = (0..400).map(|_| marker(&mut dice, &mut uses)).collect();
    enough("markers", &uses);
    let packages: serde_json::Map<String, Value> = markers
        .iter()
        .enumerate()
        .map(|(index, marker)| {
            (format!("p{index}"), json!({"version": "==1", "hashes": ["sha256:aa"], "markers": marker}))
        })
        .collect();
    let lock = json!({ "default": packages }).to_string();
    let app = "if __name__ == '__main__':\n    pass\n";
    let tree = SourceTree::of_texts([("Pipfile.lock", &lock[..]), ("main.py", app)]);
    let plan = plan(&request("order"), &tree, &catalog()).unwrap();
    let text = plan.texts.iter().find(|(path, _)| path.ends_with("/locked.txt")).unwrap().1;
    let kept: BTreeMap<&str, &str> = text
        .lines()
        .map(|line| {
            let requirement = line.split(" --hash").next().unwrap();
            let (name, marker) = requirement.split_once(" ; ").unwrap_or((requirement, ""));
            (name.split("==").next().unwrap(), marker)
        })
        .collect();
    let (mut questions, mut said) = (Vec::new(), Vec::new());
    for (index, marker) in markers.iter().enumerate() {
        for (_, patch) in PATCHES {
            questions.push(json!(["marker", marker, patch]));
            // Ours is a marker too: a distribution without one always applies, one that is left out never.
            let ours = kept.get(format!("p{index}").as_str());
            let ours =
                ours.map_or("python_version < '0'", |ours| if ours.is_empty() { "python_version > '0'" } else { ours });
            questions.push(json!(["marker", ours, patch]));
            said.push((marker, patch, ours));
        }
    }
    let answers = answers(&questions);
    for (pair, (marker, patch, ours)) in answers.chunks(2).zip(said) {
        assert_eq!(pair[0], pair[1], "{marker} on {patch}: {ours}");
    }
}

#[test]
fn releases_are_those_that_packaging_allows() {
    let (mut dice, mut uses) = (Dice(11), BTreeMap::new());
    let mut specifiers = Vec::new();
    for _ in 0..200 {
        let version = dice.one_of(&["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]);
        let (feature, first) = match dice.one_of(&["at least", "compatible", "equal", "range", "unequal", "above"]) {
            "at least" => ("at least", format!(">={version}")),
            "compatible" => ("compatible", format!("~={version}")),
            "equal" => ("equal", format!("=={version}.*")),
            "range" => ("range", format!(">={version},<{}", dice.one_of(&["3.11", "3.13", "3.15", "4"]))),
            "unequal" => ("unequal", format!(">=3.9,!={version}.*")),
            _ => ("above", format!(">{version}.1")),
        };
        *uses.entry(feature).or_default() += 1;
        specifiers.push(first);
    }
    enough("specifiers", &uses);
    let catalog = catalog();
    let chosen: Vec<Option<String>> = specifiers
        .iter()
        .map(|specifier| {
            let project = format!("[project]\nname = 'order'\nrequires-python = '{specifier}'\n");
            let app = "if __name__ == '__main__':\n    pass\n";
            let tree = SourceTree::of_texts([("pyproject.toml", &project[..]), ("main.py", app)]);
            plan(&request("order"), &tree, &catalog).ok().and_then(|plan| plan.toolchain.version)
        })
        .collect();
    // A release stands for all its patches: one that a late patch satisfies is allowed.
    let late = |release: &str| format!("{release}.20");
    let questions: Vec<Value> = specifiers
        .iter()
        .flat_map(|specifier| PATCHES.map(|(release, _)| json!(["specifier", specifier, late(release)])))
        .collect();
    for ((allowed, specifier), chosen) in answers(&questions).chunks(4).zip(&specifiers).zip(&chosen) {
        let allowed: Vec<&str> = PATCHES
            .iter()
            .zip(allowed)
            .filter(|(_, allowed)| **allowed == json!(true))
            .map(|((release, _), _)| *release)
            .collect();
        match chosen {
            Some(release) => assert!(allowed.contains(&release.as_str()), "{specifier}: {release} of {allowed:?}"),
            None => assert!(allowed.is_empty(), "{specifier}: none, though {allowed:?}"),
        }
    }
}
