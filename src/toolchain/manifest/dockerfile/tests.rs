//! Dockerfiles of repositories and what is read from them.

use proptest::prelude::*;

use super::*;
use crate::model::source_tree::SourceTree;

fn inspect(text: &str, facts: &str) -> Result<Findings, Failure> {
    let tree = SourceTree::of_texts([("a/Dockerfile", text)]);
    let facts: toml::Table = facts.parse().unwrap();
    read(&Inspection {
        tree: &tree,
        directory: "a",
        application: "a",
        module: None,
        process: None,
        command_given: false,
        library: false,
        extras: &[],
        args: &[],
        facts: &facts,
    })
}

#[test]
fn stages_bases_and_ports() {
    let text = "ARG V=17\nARG R\nFROM maven:${V} AS build\nRUN --mount=type=cache,target=/m mvn\n\
        FROM ${R:-hub.example.com/jre}:$V\nCOPY --from=build /a /a\nCOPY --from=tools:1 /t /t\nEXPOSE 8080/tcp 53/udp $P\n\
        FROM build AS test\nFROM scratch AS none\n";
    let found = inspect(text, "target = \"1\"\nbuild_args = { V = \"21\" }").unwrap();
    assert_eq!(
        found.variables["bases"],
        json!([
            {"image": "maven:21", "line": 3, "instruction": "FROM"},
            {"image": "hub.example.com/jre:21", "line": 5, "instruction": "FROM"},
            {"image": "tools:1", "line": 7, "instruction": "COPY"}
        ])
    );
    assert_eq!(found.ports, [Found::new(8080, Origin::file("a/Dockerfile", Some(8), "EXPOSE"))]);
    let with_variables = "FROM a\nARG A=80\nENV B=${A}81 C=$X\nEXPOSE $B ${B}/tcp $C $D 9000\n";
    let ports = exposed("Dockerfile", with_variables).into_iter().map(|found| found.value).collect::<Vec<_>>();
    assert_eq!((ports, exposed("Dockerfile", "EXPOSE").len()), (vec![8081, 9000], 0));
    assert_eq!(found.variables["stages"][2], json!({"name": "test", "line": 9}));
    assert!(inspect(text, "").unwrap().ports.is_empty());
    assert_eq!(inspect(text, "target = \"BUILD\"").unwrap().variables["target"], json!("BUILD"));
    let failure = inspect(text, "target = \"nothing\"").unwrap_err();
    assert_eq!((failure.code, failure.candidates.len()), (FailureCode::PlanInvalid, 3));
}

#[test]
fn what_the_engine_cannot_do_is_refused_with_its_line() {
    for (text, line) in [
        ("# syntax=docker/dockerfile:1\nFROM a\n", 1),
        ("FROM a\nCOPY --link b c\n", 2),
        ("FROM a\nRUN <<E\nx\nE\n", 2),
        ("FROM a\nONBUILD COPY --link b c\n", 2),
        ("FROM a\n\nRUN --network=none x\n", 3),
        ("FROM a\nHEALTHCHECK --start-interval=1s CMD x\n", 2),
    ] {
        let failure = inspect(text, "").unwrap_err();
        assert_eq!((failure.code, failure.places[0].line), (FailureCode::DockerfileUnsupported, Some(line)), "{text}");
    }
}

#[test]
fn what_is_malformed_is_refused_with_its_line() {
    for (text, line) in
        [("FROM a\nFOO\n", Some(2)), ("RUN x\n", Some(1)), ("FROM $X\n", Some(1)), ("", None), ("ARG A\n", None)]
    {
        let failure = inspect(text, "").unwrap_err();
        assert_eq!((failure.code, failure.places[0].line), (FailureCode::ManifestInvalid, line), "{text}");
    }
    assert_eq!(inspect("FROM a", "path = \"../../x\"").unwrap_err().code, FailureCode::PlanInvalid);
    assert_eq!(inspect("FROM a", "path = \"x\"").unwrap_err().code, FailureCode::ManifestInvalid);
}

proptest! {
    #[test]
    fn never_panics_and_names_existing_lines(
        lines in prop::collection::vec(("(?i:FROM|RUN|EXPOSE|COPY|ARG|ONBUILD|# syntax=)", "[ \"$\\{}:=a1/<\\-]{0,12}"), 0..8)
    ) {
        let text = lines.iter().map(|(keyword, rest)| format!("{keyword} {rest}")).collect::<Vec<_>>().join("\n");
        let count = u32::try_from(text.lines().count()).unwrap();
        match inspect(&text, "") {
            Ok(found) => {
                prop_assert!(found.ports.iter().all(|p| p.origin.line.is_some_and(|l| l >= 1 && l <= count)));
            }
            Err(failure) => {
                prop_assert!(failure.places.iter().all(|p| p.line.is_none_or(|l| l >= 1 && l <= count)));
            }
        }
    }
}
