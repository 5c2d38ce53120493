//! Documents that are generated from the program are current: `SLIPWAY_BLESS=1` writes them, otherwise they are compared.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use slipway::model::failure::{Blame, FailureCode};
use slipway::schema;

use crate::projects;
use crate::support::slipway::Slipway;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Writes the document where that is asked for, and compares it otherwise.
fn current(path: &str, text: &str) {
    let file = root().join(path);
    if std::env::var_os("SLIPWAY_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        there == text,
        "{path} is not current: run `SLIPWAY_BLESS=1 cargo test --test it documents` and review the change"
    );
}

#[test]
fn schemas_are_current() {
    let schemas = [
        ("plan", schema::plan()),
        ("report", schema::report()),
        ("settings", schema::settings()),
        ("config", schema::config()),
        ("message", schema::message()),
        ("event", schema::event()),
        ("cancel", schema::cancel()),
        ("supersede", schema::supersede()),
        ("api", slipway::server::openapi()),
    ];
    for (name, schema) in schemas {
        current(&format!("docs/schema/{name}.json"), &format!("{}\n", serde_json::to_string_pretty(&schema).unwrap()));
    }
}

#[test]
fn troubleshooting_is_current() {
    let mut text = String::from(
        "<!-- Generated from the program's list of failure codes; `SLIPWAY_BLESS=1 cargo test --test it documents` writes it. -->\n\n\
         # Troubleshooting\n\n\
         Every failure has a code that stays the same, says whose fault it is and whether trying again may help. `slipway` prints\n\
         `error[code]` with the places to look at and what to do; reports hold the same under `failure`. The lines below are the\n\
         general ones: the failure at hand usually knows more.\n\n\
         - **blame** `request`: correct the message or the flags; `project`: correct the repository; `service`: ask the operator.\n\
         - **retryable**: the same request may succeed later without anyone changing anything. The command line ends with exit code 75.\n\n\
         When in doubt, `slipway doctor` says what is there, what is missing and what to do, and `slipway plan` shows every decision\n\
         with the file and line that it comes from.\n",
    );
    for (blame, title) in
        [(Blame::Request, "The request"), (Blame::Project, "The project"), (Blame::Service, "The service")]
    {
        let _ = writeln!(text, "\n## {title}");
        for code in FailureCode::ALL.iter().filter(|code| code.blame() == blame) {
            let retryable = if code.retryable() { " Retryable." } else { "" };
            let _ = writeln!(
                text,
                "\n### `{}`\n\n{}{retryable}\n\n*What to do:* {}",
                code.name(),
                code.meaning(),
                code.hint()
            );
        }
    }
    current("docs/troubleshooting.md", &text);
}

#[test]
fn the_configuration_reference_is_current() {
    let mut text = String::from(
        "<!-- Generated from the program's types; `SLIPWAY_BLESS=1 cargo test --test it documents` writes it. -->\n\n\
         # Configuration reference\n\n\
         Two files are written by people: `slipway.toml` by the application's team, `config.toml` by the operator. Unknown keys are\n\
         refused with the line they stand in. Durations are written `90s`, `20m`, `2h`; sizes `512MiB`, `4GiB`. Which place wins:\n\
         the request (flags) over `slipway.toml` over what the manifests say over the operator's defaults. Limits, credentials,\n\
         mirrors and hosts are the operator's alone.\n\n\
         The JSON schemas are `schema/settings.json` and `schema/config.json`; `slipway schema settings|config` prints them.\n",
    );
    let settings =
        "In the repository, or in the application's directory of it. Every key may also be given by `--set KEY=VALUE`.";
    let _ = writeln!(text, "\n## `slipway.toml`\n\n{settings}");
    tables(&mut text, &schema::settings());
    let config =
        "Read from `--config`, else `SLIPWAY_CONFIG`, else `/etc/slipway/config.toml`; without any, the defaults hold.";
    let _ = writeln!(text, "\n## `config.toml`\n\n{config}");
    tables(&mut text, &schema::config());
    current("docs/configuration.md", &text);
}

/// One section for each table of a schema.
fn tables(text: &mut String, schema: &Value) {
    let mut open = vec![(String::new(), schema.clone())];
    while let Some((path, object)) = open.pop() {
        let mut rows = String::new();
        let mut inner = Vec::new();
        for (key, property) in object["properties"].as_object().into_iter().flatten() {
            let whole = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let target = resolve(schema, property);
            let described = property["description"].as_str().or_else(|| target["description"].as_str());
            let described = one_line(described.unwrap_or_else(|| panic!("`{whole}` says nothing of itself")));
            let element = resolve(schema, &target["additionalProperties"]);
            if target.get("properties").is_some() {
                inner.push((whole, with_description(target, &described)));
            } else if element.get("properties").is_some() {
                inner.push((format!("{whole}.NAME"), with_description(element, &described)));
            } else {
                let default = property.get("default").filter(|value| !value.is_null() && !empty(value));
                let default = default.map(|value| format!("`{value}`")).unwrap_or_default();
                let _ = writeln!(rows, "| `{key}` | {} | {default} | {described} |", kind(schema, property));
            }
        }
        if !path.is_empty() {
            let _ = writeln!(text, "\n### `[{path}]`\n\n{}", object["description"].as_str().unwrap_or_default());
        }
        if !rows.is_empty() {
            let _ = write!(text, "\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n{rows}");
        }
        open.extend(inner.into_iter().rev());
    }
}

fn with_description(mut object: Value, described: &str) -> Value {
    object["description"] = Value::from(described);
    object
}

fn empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// What a `$ref` or a nullable stands for.
fn resolve(schema: &Value, property: &Value) -> Value {
    if let Some(name) = property["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return resolve(schema, &schema["$defs"][name]);
    }
    let alternatives = property["anyOf"].as_array();
    if let Some(one) = alternatives.and_then(|all| all.iter().find(|one| one["type"] != "null")) {
        return resolve(schema, one);
    }
    property.clone()
}

/// A type as a word for people.
fn kind(schema: &Value, property: &Value) -> String {
    let one =
        property["anyOf"].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null")).unwrap_or(property);
    let referred =
        one["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")).map_or(one, |name| &schema["$defs"][name]);
    if let Some(several) = referred["anyOf"].as_array().filter(|all| all.iter().all(|one| one["type"] != "null")) {
        return several.iter().map(|one| kind(schema, one)).collect::<Vec<_>>().join(" or ");
    }
    let target = resolve(schema, property);
    let alternatives = target["enum"].as_array().or_else(|| target["oneOf"].as_array());
    if let Some(alternatives) = alternatives {
        let word = |one: &Value| match one["properties"].as_object().and_then(|keys| keys.keys().next()) {
            Some(key) => format!("`{{ {key} = … }}`"),
            None => format!("`{}`", one.get("const").unwrap_or(one)),
        };
        return alternatives.iter().map(word).collect::<Vec<_>>().join(", ");
    }
    let name = target["type"]
        .as_str()
        .or_else(|| target["type"].as_array()?.iter().find_map(|name| name.as_str().filter(|name| *name != "null")));
    match name {
        Some("array") => format!("array of {}", kind(schema, &target["items"])),
        Some("object") if target["properties"].is_object() => {
            let keys = target["properties"].as_object().into_iter().flatten().map(|(key, _)| format!("{key} = …"));
            format!("`{{ {} }}`", keys.collect::<Vec<_>>().join(", "))
        }
        Some("object") => format!("table of {}", kind(schema, &target["additionalProperties"])),
        Some(name) => name.to_owned(),
        None => panic!("no type: {property}"),
    }
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

/// The plan that the README shows is the one of the example that it names.
#[test]
fn the_readme_shows_a_real_plan() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (start, end) = ("<!-- the plan of examples/flask -->\n", "<!-- end of the plan -->");
    let (before, rest) = readme.split_once(start).expect("the mark of the plan");
    let (_, after) = rest.split_once(end).expect("the end of the plan");
    let project = projects::all().into_iter().find(|project| project.id == "example-flask").unwrap();
    let plan = project.plan(&projects::catalog()).1.unwrap();
    let text = slipway::plan::print::text(&plan);
    current("README.md", &format!("{before}{start}```\n$ slipway plan\n{text}```\n{end}{after}"));
}

/// Every verb that the program offers is in the document, and every exit code that it shows here.
#[test]
fn the_command_line_is_documented() {
    let document = std::fs::read_to_string(root().join("docs/cli.md")).unwrap();
    let slipway = |arguments: &[&str]| {
        let command = std::process::Command::new(env!("CARGO_BIN_EXE_slipway")).args(arguments).output();
        command.unwrap_or_else(|error| panic!("slipway {arguments:?}: {error}"))
    };
    let help = String::from_utf8(slipway(&["help"]).stdout).unwrap();
    let verbs: Vec<_> =
        help.lines().filter_map(|line| line.strip_prefix("  ")?.split_once("  ")).map(|(verb, _)| verb).collect();
    assert!(verbs.contains(&"plan"), "{help}");
    for verb in verbs
        .iter()
        .filter(|verb| verb.starts_with(|c: char| c.is_ascii_lowercase()) && **verb != "help" && !verb.contains(' '))
    {
        assert!(document.contains(&format!("`{verb}")), "docs/cli.md says nothing of `{verb}`");
    }
    let empty = tempfile::tempdir().unwrap();
    let project = slipway(&["plan", empty.path().to_str().unwrap(), "--format", "json", "--name", "x"]);
    assert_eq!(project.status.code(), Some(1));
    let failure: Value = serde_json::from_slice(&project.stdout).unwrap();
    assert_eq!(failure["failure"]["code"], "ecosystem_unrecognised");
    assert_eq!(slipway(&["plan", "--no-such-flag"]).status.code(), Some(2));
    assert_eq!(slipway(&["plan", "--config", "/no/such/file.toml"]).status.code(), Some(2));
}

/// `slipway schema` prints what is checked in.
#[test]
fn the_program_prints_the_schemas() {
    for name in ["plan", "report", "settings", "config", "message", "event", "cancel", "supersede", "api"] {
        let printed =
            std::process::Command::new(env!("CARGO_BIN_EXE_slipway")).args(["schema", name]).output().unwrap();
        let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
        let there = std::fs::read(root().join(format!("docs/schema/{name}.json"))).unwrap();
        assert!(printed == serde_json::from_slice::<Value>(&there).unwrap(), "{name}");
    }
}

/// The examples of messages are what the program reads and writes, no field more and no field less.
#[test]
fn the_examples_of_messages_are_exact() {
    use slipway::message::{BuildMessage, CancelMessage, EventMessage, SupersedeMessage};
    let read = |name: &str| std::fs::read_to_string(root().join("docs/examples").join(name)).unwrap();
    let same = |name: &str, text: &str, again: Value| {
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), again, "{name}");
    };
    for name in ["message.json", "message-smallest.json"] {
        BuildMessage::parse(read(name).as_bytes()).unwrap().request().unwrap();
    }
    let cancel = read("cancel.json");
    same("cancel.json", &cancel, serde_json::to_value(CancelMessage::parse(cancel.as_bytes()).unwrap()).unwrap());
    let supersede = read("supersede.json");
    let claim = SupersedeMessage::parse(supersede.as_bytes()).unwrap();
    same("supersede.json", &supersede, serde_json::to_value(&claim).unwrap());
    // It is what belongs to the build message beside it.
    let request = BuildMessage::parse(read("message.json").as_bytes()).unwrap();
    assert_eq!(SupersedeMessage::of(&request, claim.sent_at), Some(claim));
    let report = read("report.json");
    let again: slipway::model::report::BuildReport = serde_json::from_str(&report).unwrap();
    same("report.json", &report, serde_json::to_value(again).unwrap());
    let events = read("events.jsonl");
    let mut kinds = std::collections::BTreeSet::new();
    for line in events.lines() {
        let event: EventMessage = serde_json::from_str(line).unwrap();
        kinds.insert(event.event.kind());
        same("events.jsonl", line, serde_json::to_value(event).unwrap());
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["accepted", "finished", "log", "step_finished", "step_started"]);
}

/// Links between documents lead somewhere.
#[test]
fn links_lead_somewhere() {
    let mut documents = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    documents.extend(
        std::fs::read_dir(root().join("docs"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file()),
    );
    for document in documents {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(document.parent().unwrap().join(target).exists(), "{}: {link} leads nowhere", document.display());
        }
    }
}

/// What the Compose files set and start is there, and no image of somebody's is named.
#[tokio::test]
async fn the_compose_files_hold() {
    for (file, images, settings, commands) in [("compose.yaml", 3, 3, 2), ("compose.postgres.yaml", 1, 1, 0)] {
        let compose = std::fs::read_to_string(root().join("deploy").join(file)).unwrap();
        let values = |key: &str| -> Vec<String> {
            compose.lines().filter_map(|line| Some(line.trim().strip_prefix(key)?.trim().to_owned())).collect()
        };
        let named = values("image:");
        let open = |image: &String| image.starts_with("${") && image.contains(":?");
        assert!(named.len() == images && named.iter().all(open), "{named:?}");
        let set: Vec<(&str, &str)> = compose
            .lines()
            .filter_map(|line| line.trim().split_once(": ").filter(|(key, _)| key.starts_with("SLIPWAY__")))
            .collect();
        assert_eq!(set.len(), settings, "{set:?}");
        let slipway = set.iter().fold(Slipway::new(), |slipway, (key, value)| slipway.env(key, value));
        let shown = slipway.run(&["queues", "show"].map(str::to_owned)).await;
        assert_eq!(shown.code, 0, "{}", shown.text());
        let started: Vec<Vec<String>> =
            values("command:").iter().map(|command| serde_json::from_str(command).unwrap()).collect();
        assert_eq!(started.len(), commands);
        for command in started {
            // Help is given only where all that stands before it is understood.
            let help = slipway.run(&[command, vec!["--help".to_owned()]].concat()).await;
            assert_eq!(help.code, 0, "{}", help.text());
        }
    }
}
