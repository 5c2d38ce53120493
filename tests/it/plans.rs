//! What planning says of every fixture and every example, as text and as JSON.

use proptest::prelude::*;
use serde_json::json;
use slipway::catalog::{Catalog, Operator, OwnDockerfiles, embedded};
use slipway::model::failure::FailureCode;
use slipway::model::origin::Origin;
use slipway::model::request::BuildRequest;
use slipway::model::source_tree::{SourceTree, Text};
use slipway::plan::{plan, print};

use crate::projects::{Project, all, catalog, request};

#[test]
fn plans_are_what_they_were() {
    let catalog = catalog();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut changed = Vec::new();
    for project in all() {
        let (text, value) = match project.plan(&catalog).1 {
            Ok(plan) => (print::text(&plan), json!(plan)),
            Err(failure) => {
                let text = format!("{}: {}\nhint: {}\n", failure.code.name(), failure.message, failure.hint);
                (text, json!({ "version": 1, "failure": failure }))
            }
        };
        let document = format!("{text}\n{}\n", serde_json::to_string_pretty(&value).unwrap());
        // All that differ are shown, not the first alone.
        let check = || settings.bind(|| insta::assert_snapshot!(project.id.as_str(), document));
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_err() {
            changed.push(project.id.clone());
        }
    }
    assert!(changed.is_empty(), "the plans of {} differ", changed.join(", "));
}

#[test]
fn the_same_request_gives_the_same_bytes() {
    let catalog = catalog();
    for project in all() {
        let text = || match project.plan(&catalog).1 {
            Ok(plan) => serde_json::to_string_pretty(&plan).unwrap(),
            Err(failure) => serde_json::to_string_pretty(&failure).unwrap(),
        };
        assert!(text() == text(), "{}: {}\n{}", project.id, text(), text());
    }
}

#[test]
fn origins_point_at_lines_that_exist() {
    let catalog = catalog();
    for project in all() {
        let (tree, outcome) = project.plan(&catalog);
        match outcome {
            Ok(plan) => {
                for decision in &plan.decisions {
                    origin_exists(&project, &tree, &decision.origin);
                    decision.rejected.iter().for_each(|rejected| origin_exists(&project, &tree, &rejected.origin));
                }
                plan.warnings
                    .iter()
                    .for_each(|warning| place_exists(&project, &tree, warning.path.as_deref(), warning.line));
            }
            Err(failure) => {
                failure.places.iter().for_each(|place| place_exists(&project, &tree, Some(&place.path), place.line));
            }
        }
    }
}

fn origin_exists(project: &Project, tree: &SourceTree, origin: &Origin) {
    place_exists(project, tree, origin.path.as_deref(), origin.line);
}

fn place_exists(project: &Project, tree: &SourceTree, path: Option<&str>, line: Option<u32>) {
    let Some(path) = path else {
        assert_eq!(line, None, "{}: a line of no file", project.id);
        return;
    };
    assert!(tree.has_file(path) || tree.has_directory(path), "{}: there is no {path}", project.id);
    if let Some(line) = line {
        let text = std::fs::read_to_string(project.root.join(path)).unwrap();
        let lines = u32::try_from(text.lines().count()).unwrap();
        assert!((1..=lines).contains(&line), "{}: {path} has no line {line}", project.id);
    }
}

#[test]
fn failures_have_the_code_of_what_is_wrong() {
    let catalog = catalog();
    for (name, code) in [
        ("base-unknown", FailureCode::PlanInvalid),
        ("dockerfile-with-heredoc", FailureCode::DockerfileUnsupported),
        ("go-malformed", FailureCode::ManifestInvalid),
        ("go-several-mains", FailureCode::ApplicationAmbiguous),
        ("go-too-new", FailureCode::VersionUnknown),
        ("hook-without-shell", FailureCode::PlanInvalid),
        ("manifest-in-a-subdirectory", FailureCode::EcosystemUnrecognised),
        ("maven-cyclic-parents", FailureCode::ManifestInvalid),
        ("maven-entity-bomb", FailureCode::ManifestInvalid),
        ("maven-malformed-pom", FailureCode::ManifestInvalid),
        ("maven-module-unknown", FailureCode::ApplicationNotFound),
        ("maven-several-applications", FailureCode::ApplicationAmbiguous),
        ("maven-version-unknown", FailureCode::VersionUnknown),
        ("nothing-recognised", FailureCode::EcosystemUnrecognised),
        ("prebuilt-without-command", FailureCode::EcosystemUnrecognised),
        ("process-ambiguous", FailureCode::ProcessAmbiguous),
        ("python-malformed-requirements", FailureCode::ManifestInvalid),
        ("python-nothing-starts", FailureCode::ApplicationNotFound),
        ("python-several-applications", FailureCode::ApplicationAmbiguous),
        ("python-version-conflict", FailureCode::VersionConflict),
        ("settings-malformed", FailureCode::SettingsInvalid),
        ("settings-unknown-key", FailureCode::SettingsInvalid),
        ("toolchain-unknown", FailureCode::EcosystemUnrecognised),
        ("two-ecosystems", FailureCode::EcosystemAmbiguous),
        ("user-root", FailureCode::PlanInvalid),
    ] {
        let project = all().into_iter().find(|project| project.id == name).expect(name);
        let failure = project.plan(&catalog).1.expect_err(name);
        assert_eq!(failure.code, code, "{name}: {failure}");
        assert!(!failure.message.is_empty() && !failure.hint.is_empty(), "{name}");
    }
}

#[test]
fn what_no_image_could_have_is_refused_at_its_line() {
    for (line, says) in [
        ("runtime.ports = [8080, 0]", "`runtime.ports` has the port 0"),
        ("runtime.env = { \"A B\" = \"c\" }", "`runtime.env.A B` is no name of a variable"),
        ("runtime.env = { \"A=B\" = \"c\" }", "`runtime.env.A=B` is no name of a variable"),
        ("runtime.env = { A = \"b\\nc\" }", "`runtime.env.A` has a line break"),
        ("toolchain.env = { \"\" = \"c\" }", "`toolchain.env.` is no name of a variable"),
        ("image.labels = { \"a\\nb\" = \"c\" }", "`image.labels.a\\nb` is empty or has a line break"),
        ("runtime.volumes = [\"data\"]", "`runtime.volumes` has \"data\""),
        ("runtime.volumes = [\"/\"]", "`runtime.volumes` has \"/\""),
        ("runtime.volumes = [\"/app/../etc\"]", "`runtime.volumes` has \"/app/../etc\""),
        ("runtime.health = \"health\"", "`runtime.health` is \"health\""),
        ("runtime.health = \"http://localhost/health\"", "`runtime.health` is \"http"),
        ("runtime.health = \"/a b\"", "`runtime.health` is \"/a b\""),
    ] {
        let text = format!("runtime.command = [\"./run\"]\n{line}\n");
        let tree = SourceTree::of_texts([("output/run*", ""), ("slipway.toml", text.as_str())]);
        let failure = plan(&request("order"), &tree, &catalog()).expect_err(line);
        assert_eq!((failure.code, failure.places[0].line), (FailureCode::SettingsInvalid, Some(2)), "{failure}");
        assert!(failure.message.contains(says), "{failure}");
        let asked = BuildRequest { settings: toml::from_str(line).unwrap(), ..request("order") };
        let tree = SourceTree::of_texts([("output/run*", ""), ("slipway.toml", "runtime.command = [\"./run\"]\n")]);
        assert_eq!(plan(&asked, &tree, &catalog()).expect_err(line).code, FailureCode::RequestInvalid, "{line}");
    }
    let fine = "runtime = { command = [\"./run\"], volumes = [\"/app/data/\"], health = \"/health?deep=1\", env = { \"spring.a-b\" = \"x\" } }";
    let tree = SourceTree::of_texts([("output/run*", ""), ("slipway.toml", fine)]);
    assert!(plan(&request("order"), &tree, &catalog()).is_ok());
}

/// Who asks for tests has them run, or is told that nobody runs them.
#[test]
fn tests_that_are_asked_for_are_run_or_it_is_said() {
    let asked = |files: &[(&str, &str)]| {
        let settings = toml::from_str("toolchain.tests = true\nruntime.command = [\"./run\"]").unwrap();
        let request = BuildRequest { settings, ..request("order") };
        plan(&request, &SourceTree::of_texts(files.iter().copied()), &catalog()).unwrap()
    };
    let go = asked(&[("go.mod", "module example.com/a\n\ngo 1.24\n"), ("main.go", "package main\n\nfunc main() {}\n")]);
    assert_eq!(go.steps[0].command, ["go", "test", "./..."]);
    for files in
        [&[("requirements.txt", "flask==3.1.3\n")][..], &[("output/run*", "")], &[("Dockerfile", "FROM scratch\n")]]
    {
        let plan = asked(files);
        assert!(plan.warnings.iter().any(|warning| warning.code == "tests_not_run"), "{:?}", plan.warnings);
    }
}

#[test]
fn a_name_that_registries_do_not_take_is_refused_before_anything_runs() {
    let tree = SourceTree::of_texts([("output/run*", ""), ("slipway.toml", "runtime.command = [\"./run\"]\n")]);
    let named =
        |name: String| plan(&BuildRequest { name: name.parse().unwrap(), ..request("order") }, &tree, &catalog());
    let longest = 245 - request("order").product_line.as_str().len() - 1;
    assert!(named("a".repeat(longest)).is_ok());
    let failure = named("a".repeat(longest + 1)).unwrap_err();
    assert_eq!(failure.code, FailureCode::RequestInvalid);
    assert!(failure.message.contains("246 characters; 245 may be"), "{}", failure.message);
}

#[test]
fn own_dockerfiles_need_the_operators_leave() {
    let mut catalog = catalog();
    catalog.operator.own_dockerfiles = OwnDockerfiles::ProductLines(vec!["another".into()]);
    let project = all().into_iter().find(|project| project.id == "dockerfile-alone").unwrap();
    assert_eq!(project.plan(&catalog).1.unwrap_err().code, FailureCode::ToolchainForbidden);
    // Where the Dockerfile would make one image of several applications, these are the choice that is left.
    let project = all().into_iter().find(|project| project.id == "dockerfile-copies-two-directories").unwrap();
    let failure = project.plan(&catalog).1.unwrap_err();
    assert_eq!(
        (failure.code, &failure.candidates[..]),
        (FailureCode::EcosystemUnrecognised, &["backend".into(), "worker".into()][..])
    );
    // One file, and a toolchain would build it.
    let nearly = SourceTree::of_texts([("Dockerfile", "FROM golang:1.7\n"), ("main.go", "package main\n")]);
    let failure = plan(&request("order"), &nearly, &catalog).unwrap_err();
    assert_eq!(failure.code, FailureCode::ToolchainForbidden);
    assert!(failure.hint.contains("go mod init"), "{}", failure.hint);
    // What there is no toolchain for is named, whatever else would build it.
    let other = SourceTree::of_texts([("Dockerfile", "FROM ruby:3\n"), ("Gemfile", "")]);
    let failure = plan(&request("order"), &other, &catalog).unwrap_err();
    assert_eq!(failure.code, FailureCode::ToolchainForbidden);
    assert!(failure.message.starts_with("`Gemfile` is of Ruby, and there is no toolchain for it"), "{failure}");
}

/// Nobody has written a configuration: what lies on the machine is a person's own, what is fetched may be anyone's.
#[tokio::test]
async fn without_a_configuration_only_a_directory_s_own_dockerfile_is_planned() {
    let project = crate::support::project::Project::new("own", &[("Dockerfile", "FROM slipway/debian\n")]);
    project.commit();
    let (cache, directory) = (tempfile::tempdir().unwrap(), project.path().display().to_string());
    let plan = |source: String| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_slipway"));
        command.args(["plan", "--format", "json", &source]).env_remove("SLIPWAY_CONFIG");
        command.env("SLIPWAY__CACHE__DIRECTORY", cache.path()).output()
    };
    let own = plan(directory.clone()).await.unwrap();
    assert!(own.status.success(), "{}", String::from_utf8_lossy(&own.stderr));
    let fetched = plan(format!("file://{directory}")).await.unwrap();
    let said: serde_json::Value = serde_json::from_slice(&fetched.stdout).unwrap();
    assert_eq!(said["failure"]["code"], "toolchain_forbidden", "{said:#}");
}

#[test]
fn own_dockerfiles_are_based_on_what_the_operator_mirrors_and_allows() {
    let mut catalog = catalog();
    catalog.operator.image_mirrors.insert("docker.io".into(), "harbor.example.com/hub".into());
    let text = "ARG GO=1.24\nFROM golang:${GO} AS build\nCOPY --from=alpine:3.22 /etc/os-release /x\nFROM slipway/debian\nCOPY --from=build /x /x\n";
    let tree = SourceTree::of_texts([("Dockerfile", text)]);
    let planned = plan(&request("order"), &tree, &catalog).unwrap();
    let go = "harbor.example.com/hub/library/golang:1.24";
    let alpine = "harbor.example.com/hub/library/alpine:3.22";
    assert_eq!(planned.bases, [go, alpine, "slipway/debian:latest"]);
    let expected = format!(
        "ARG GO=1.24\nFROM {go} AS build\nCOPY --from={alpine} /etc/os-release /x\nFROM slipway/debian:latest\nCOPY --from=build /x /x\n"
    );
    assert_eq!(planned.dockerfile.as_deref(), Some(expected.as_str()));
    let decision = |key: &str| planned.decisions.iter().find(|decision| decision.key == key).expect(key);
    assert_eq!(decision("image.base").value, "slipway/debian:latest");
    let build = decision("image.bases.2");
    assert_eq!((build.origin.line, build.rejected[0].value.as_str()), (Some(2), Some("golang:1.24")));
    assert_eq!(planned.image.unwrap().labels["org.opencontainers.image.base.name"], "slipway/debian:latest");

    catalog.operator.own_dockerfile_bases =
        Some(vec!["slipway/*".into(), "harbor.example.com/hub/library/golang:*".into()]);
    let failure = plan(&request("order"), &tree, &catalog).unwrap_err();
    assert_eq!((failure.code, failure.places[0].line), (FailureCode::ToolchainForbidden, Some(3)));
    assert!(failure.message.contains(alpine) && failure.message.contains("alpine:3.22"), "{failure}");
}

#[test]
fn defaults_are_for_toolchains_that_there_are() {
    let with = |name: &str| {
        let defaults = [(name.to_owned(), slipway::model::settings::ToolchainSettings::default())].into();
        Catalog::from_files(&embedded(), Operator { defaults, ..Operator::default() })
    };
    assert!(with("maven").is_ok());
    let failure = with("mavn").unwrap_err();
    assert_eq!(failure.code, FailureCode::ConfigurationInvalid);
    assert!(failure.message.contains("`[defaults.mavn]`"), "{failure}");
    assert!(failure.hint.contains("`go`, `maven`"), "{failure}");
}

/// A module with one program and a `slipway.toml` of this text.
fn with_settings(text: &str) -> SourceTree {
    let mut tree = SourceTree::of_texts([
        ("go.mod", "module example.com/order\n\ngo 1.24\n"),
        ("main.go", "package main\n\nfunc main() {}\n"),
        ("slipway.toml", ""),
    ]);
    tree.set_text("slipway.toml", Text::Utf8(text.to_owned()));
    tree
}

/// Lines that are close to what people write, with values that nobody should.
fn settings_text() -> impl Strategy<Value = String> {
    let table = prop::sample::select(vec![
        "application",
        "toolchain",
        "image",
        "runtime",
        "processes",
        "image.labels",
        "runtime.env",
        "x",
    ]);
    let key = prop_oneof![
        prop::sample::select(vec![
            "name",
            "version",
            "module",
            "process",
            "base",
            "command",
            "ports",
            "user",
            "args",
            "volumes",
            "health",
            "before_start",
            "env"
        ])
        .prop_map(str::to_owned),
        "[A-Za-z_.\"]{1,8}",
    ];
    let value = prop_oneof![
        any::<String>().prop_map(|text| toml::Value::String(text).to_string()),
        prop::collection::vec(any::<String>(), 0..3).prop_map(|list| toml::Value::from(list).to_string()),
        prop::collection::vec(any::<u16>(), 0..3).prop_map(|ports| format!("{ports:?}")),
        Just("{ A = \"1\\nRUN true\", \"B C\" = \"$(x)\" }".to_owned()),
        "[0-9a-z.-]{0,12}",
    ];
    let line = (key, value).prop_map(|(key, value)| format!("{key} = {value}\n"));
    let lines = prop::collection::vec(line, 0..4).prop_map(|lines| lines.concat());
    let table = (table, lines).prop_map(|(table, lines)| format!("[{table}]\n{lines}"));
    prop::collection::vec(table, 0..4).prop_map(|tables| tables.concat())
}

proptest! {
    /// Whatever stands in `slipway.toml`, planning answers, and no text becomes an instruction.
    #[test]
    fn any_settings_give_a_plan_or_a_failure(text in prop_oneof![any::<String>(), settings_text()]) {
        let tree = with_settings(&text);
        match plan(&request("order"), &tree, &catalog()) {
            Ok(plan) => {
                let parsed = slipway::dockerfile::parse::parse(&plan.dockerfile.unwrap_or_default()).expect("what was generated parses");
                let placing = ["FROM", "COPY", "ENV", "LABEL", "WORKDIR", "EXPOSE", "VOLUME", "USER", "HEALTHCHECK", "ENTRYPOINT", "CMD"];
                prop_assert!(parsed.instructions.iter().all(|located| placing.contains(&located.instruction.name())));
            }
            Err(failure) => {
                prop_assert!(!failure.message.is_empty());
                for place in failure.places {
                    let lines = text.matches('\n').count() + 1;
                    prop_assert!(place.path != "slipway.toml" || place.line.is_none_or(|line| (1..=lines).contains(&(line as usize))));
                }
            }
        }
    }
}
