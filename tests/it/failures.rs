//! Builds that fail: each kind with its code, whose fault it is, and what people are told.

use std::path::Path;

use crate::services::service;
use crate::support::project::Project;
use crate::support::slipway::{Run, Slipway};

/// A small project, and how its build has to fail.
#[derive(Default)]
struct Broken {
    files: &'static [(&'static str, &'static str)],
    args: &'static [&'static str],
    code: &'static str,
    blame: &'static str,
    /// Path and line of the first place, where the failure has one.
    place: Option<(&'static str, u32)>,
    /// Text of the message.
    says: &'static [&'static str],
    candidates: &'static [&'static str],
    /// Text of the log's last lines.
    log: &'static [&'static str],
    /// Empty where the build fails before its first step.
    step: &'static str,
}

/// Nothing of these is run: planning refuses them.
const UNPLANNABLE: &[Broken] = &[
    Broken {
        files: &[("README.md", "nothing here is built\n")],
        code: "ecosystem_unrecognised",
        says: &["`pom.xml`", "`go.mod`", "`README.md`"],
        ..PROJECT
    },
    Broken { files: &[], code: "ecosystem_unrecognised", says: &["no files"], ..PROJECT },
    Broken {
        files: &[("go.mod", GO_MOD), ("pom.xml", POM)],
        code: "ecosystem_ambiguous",
        candidates: &["go", "maven"],
        ..PROJECT
    },
    Broken {
        files: &[
            ("go.mod", GO_MOD),
            ("cmd/api/main.go", "package main\n\nfunc main() {}\n"),
            ("cmd/worker/main.go", "package main\n\nfunc main() {}\n"),
        ],
        code: "application_ambiguous",
        candidates: &["./cmd/api", "./cmd/worker"],
        place: Some(("cmd/api/main.go", 3)),
        ..PROJECT
    },
    Broken {
        files: &[("go.mod", GO_MOD), ("only/library.go", "package only\n")],
        code: "application_not_found",
        ..PROJECT
    },
    Broken {
        files: &[("go.mod", GO_MOD), ("main.go", MAIN_GO)],
        args: &["--toolchain", "go@9.9"],
        code: "version_unknown",
        says: &["9.9", "1.24"],
        ..PROJECT
    },
    Broken {
        files: &[("requirements.txt", ""), ("main.py", MAIN_PY), (".python-version", "2.7\n")],
        code: "version_unknown",
        place: Some((".python-version", 1)),
        says: &["2.7", "3.13"],
        ..PROJECT
    },
    Broken {
        files: &[
            ("pyproject.toml", "[project]\nname = \"a\"\nversion = \"1\"\nrequires-python = \">=3.13\"\n"),
            ("main.py", MAIN_PY),
            (".python-version", "3.11\n"),
        ],
        code: "version_conflict",
        says: &["3.11", "3.13"],
        ..PROJECT
    },
    Broken {
        files: &[(
            "pom.xml",
            "<project>\n  <modelVersion>4.0.0</modelVersion>\n  <artifactId>a</version>\n</project>\n",
        )],
        code: "manifest_invalid",
        place: Some(("pom.xml", 3)),
        ..PROJECT
    },
    Broken {
        files: &[("go.mod", "module example.com/a\n\ngo one\n"), ("main.go", MAIN_GO)],
        code: "manifest_invalid",
        place: Some(("go.mod", 3)),
        ..PROJECT
    },
    Broken {
        files: &[("pyproject.toml", "[project]\nname = \"a\"\nversion = = 1\n"), ("main.py", MAIN_PY)],
        code: "manifest_invalid",
        place: Some(("pyproject.toml", 3)),
        ..PROJECT
    },
    Broken {
        files: &[("requirements.txt", "flask==3.1.3\n==1.0\n"), ("main.py", MAIN_PY)],
        code: "manifest_invalid",
        place: Some(("requirements.txt", 2)),
        ..PROJECT
    },
    Broken {
        files: &[
            ("go.mod", GO_MOD),
            ("main.go", MAIN_GO),
            ("slipway.toml", "[runtime]\nports = [8080]\nport = 8080\n"),
        ],
        code: "settings_invalid",
        step: "",
        place: Some(("slipway.toml", 3)),
        says: &["port"],
        ..PROJECT
    },
    Broken {
        files: &[
            ("go.mod", GO_MOD),
            ("main.go", MAIN_GO),
            ("slipway.toml", "[runtime]\nbefore_start = [\"make\", \"configuration\"]\n"),
        ],
        code: "plan_invalid",
        says: &["before_start", "make"],
        ..PROJECT
    },
    Broken {
        files: &[
            ("requirements.txt", ""),
            ("slipway.toml", "[processes]\nfetch = [\"python\", \"a.py\"]\nstore = [\"python\", \"b.py\"]\n"),
        ],
        code: "process_ambiguous",
        candidates: &["fetch", "store"],
        ..PROJECT
    },
    Broken {
        files: &[("Dockerfile", "FROM slipway/debian:latest\nCOPY --link . /app\n")],
        code: "dockerfile_unsupported",
        place: Some(("Dockerfile", 2)),
        says: &["--link"],
        ..PROJECT
    },
];

/// Where only the toolchain's own command can tell.
const UNBUILDABLE: &[Broken] = &[
    Broken {
        files: &[("go.mod", GO_MOD), ("main.go", "package main\n\nfunc main() {\n\tundefinedFunction()\n}\n")],
        code: "compile_failed",
        step: "compile",
        says: &["exit code 1: ./main.go:4:2: undefined: undefinedFunction"],
        log: &["main.go:4:2: undefined: undefinedFunction"],
        ..PROJECT
    },
    Broken {
        files: &[
            ("pom.xml", APPLICATION_POM),
            ("src/main/java/a/Main.java", "package a;\n\nclass Main {\n    int a = \"text\";\n}\n"),
        ],
        code: "compile_failed",
        step: "compile",
        says: &["exit code 1: src/main/java/a/Main.java:[4,13] incompatible types"],
        log: &["Main.java:[4,13] incompatible types"],
        ..PROJECT
    },
    Broken {
        files: &[
            ("go.mod", GO_MOD),
            ("main.go", MAIN_GO),
            (
                "main_test.go",
                "package main\n\nimport \"testing\"\n\nfunc TestTide(t *testing.T) { t.Fatal(\"the tide is out\") }\n",
            ),
        ],
        args: &["--set", "toolchain.tests=true"],
        code: "tests_failed",
        step: "compile",
        says: &["exit code 1: FAIL: TestTide"],
        log: &["main_test.go:5: the tide is out"],
        ..PROJECT
    },
    Broken {
        files: &[
            ("pom.xml", TESTED_POM),
            (
                "src/main/java/a/Main.java",
                "package a;\n\nclass Main {\n    public static void main(String[] a) {}\n}\n",
            ),
            (
                "src/test/java/a/MainTest.java",
                "package a;\n\npublic class MainTest {\n    @org.junit.Test public void tide() { org.junit.Assert.fail(\"the tide is out\"); }\n}\n",
            ),
        ],
        args: &["--set", "toolchain.tests=true"],
        code: "tests_failed",
        step: "compile",
        says: &["MainTest.tide"],
        log: &["the tide is out", "There are test failures"],
        ..PROJECT
    },
    Broken {
        files: &[("requirements.txt", "flask==0.0.0.1\n"), ("main.py", MAIN_PY)],
        code: "compile_failed",
        step: "compile",
        says: &["exit code 1: No matching distribution found for flask==0.0.0.1"],
        log: &["flask==0.0.0.1"],
        ..PROJECT
    },
    Broken {
        files: &[("Dockerfile", "FROM slipway/debian:latest\nRUN echo before; false\n")],
        code: "image_failed",
        step: "image",
        says: &["false"],
        ..PROJECT
    },
];

/// What every failure here has in common.
const PROJECT: Broken = Broken {
    files: &[],
    args: &[],
    code: "",
    blame: "project",
    place: None,
    says: &[],
    candidates: &[],
    log: &[],
    step: "plan",
};

const GO_MOD: &str = "module example.com/a\n\ngo 1.24\n";
const MAIN_GO: &str = "package main\n\nfunc main() {}\n";
const MAIN_PY: &str = "if __name__ == \"__main__\":\n    print(\"started\")\n";
const POM: &str = "<project><modelVersion>4.0.0</modelVersion><groupId>a</groupId><artifactId>a</artifactId><version>1</version></project>";
const APPLICATION_POM: &str = "<project><modelVersion>4.0.0</modelVersion>
<groupId>a</groupId><artifactId>a</artifactId><version>1</version>
<properties><maven.compiler.release>17</maven.compiler.release></properties>
<build><plugins><plugin><artifactId>maven-jar-plugin</artifactId>
<configuration><archive><manifest><mainClass>a.Main</mainClass></manifest></archive></configuration>
</plugin></plugins></build></project>";
const TESTED_POM: &str = "<project><modelVersion>4.0.0</modelVersion>
<groupId>a</groupId><artifactId>a</artifactId><version>1</version>
<properties><maven.compiler.release>17</maven.compiler.release></properties>
<dependencies><dependency><groupId>junit</groupId><artifactId>junit</artifactId><version>4.13.2</version><scope>test</scope></dependency></dependencies>
<build><plugins><plugin><artifactId>maven-jar-plugin</artifactId>
<configuration><archive><manifest><mainClass>a.Main</mainClass></manifest></archive></configuration>
</plugin></plugins></build></project>";

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_planned_names_the_place_and_the_way_out() {
    every(UNPLANNABLE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_build_shows_the_tool_s_own_lines() {
    every(UNBUILDABLE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_that_nobody_says_a_repository_for_says_what_is_missing() {
    let project = Project::new("text", &[("pom.xml", POM)]);
    project.commit();
    let slipway = Slipway::new();
    slipway.replace_config(&format!("[cache]\ndirectory = \"{}/slipway-cache\"\n", env!("CARGO_TARGET_TMPDIR")));
    let run = slipway.build(&project.path(), &["--kind", "library"].map(str::to_owned)).await;
    failed(&run, "deploy_failed", "project", 1);
    let mut warnings = run.report["warnings"].as_array().unwrap().iter();
    assert!(warnings.any(|warning| warning["code"] == "deploy_target_unknown"), "{}", run.text());
    let hint = run.failure()["hint"].as_str().unwrap();
    assert!(hint.contains("`distributionManagement`") && hint.contains("`mirrors.maven_deploy`"), "{hint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_end_well_is_not_begun() {
    let project = Project::new("fine", &[("go.mod", GO_MOD), ("main.go", MAIN_GO)]);
    project.commit();
    // No registry is asked for what is Slipway's own: anybody may call theirs so on a hub.
    let base = "slipway/nosuch:1";
    for backend in ["docker", "assembler", "auto"] {
        let args = ["--base", base, "--image-backend", backend].map(str::to_owned);
        let run = Slipway::new().build(&project.path(), &args).await;
        failed(&run, "base_image_missing", "service", 1);
        assert!(run.failure()["message"].as_str().unwrap().contains("is in no registry"), "{}", run.text());
        assert!(!steps(&run).contains(&"compile".to_owned()), "{}", run.text());
    }
    let slipway = Slipway::new();
    slipway.replace_config(&format!("[cache]\ndirectory = \"{}/slipway-cache\"\n", env!("CARGO_TARGET_TMPDIR")));
    let run = slipway.build(&project.path(), &["--push"].map(str::to_owned)).await;
    assert_eq!((run.failure_code(), run.code), ("configuration_invalid", 2), "{}", run.text());
    assert_eq!(steps(&run), Vec::<String>::new(), "{}", run.text());
}

/// The steps that were begun.
fn steps(run: &Run) -> Vec<String> {
    let steps = run.report["steps"].as_array().cloned().unwrap_or_default();
    steps.iter().filter_map(|step| step["step"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_fetched_is_the_request_s_fault() {
    let project = Project::new("fine", &[("go.mod", GO_MOD), ("main.go", MAIN_GO)]);
    project.commit();
    let local = format!("file://{}", project.path().display());
    let (open, private) = (service("SLIPWAY_TEST_GIT"), service("SLIPWAY_TEST_GIT_PRIVATE"));
    for (source, args, code) in [
        (local.clone(), &["--revision", "nosuch"][..], "revision_not_found"),
        (local.clone(), &["--revision", "0123456789abcdef0123456789abcdef01234567"], "revision_not_found"),
        (format!("{local}-elsewhere"), &[], "source_not_found"),
        (format!("{open}/nosuch.git"), &[], "source_not_found"),
        (format!("{private}/order.git"), &[], "source_unauthorized"),
    ] {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let run = Slipway::new().build(Path::new(&source), &args).await;
        failed(&run, code, "request", 1);
        assert_eq!(run.failure()["step"], "checkout", "{}", run.text());
    }
}

#[tokio::test]
async fn a_document_a_line_is_one_line() {
    let project = Project::new("fine", &[("go.mod", GO_MOD), ("main.go", MAIN_GO)]);
    project.commit();
    for name in ["fine", "Not Fine"] {
        let directory = project.path().display().to_string();
        let args = ["plan", "--format", "jsonl", "--name", name, &directory].map(str::to_owned);
        let output = Slipway::new().command(&args).output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((output.status.success(), document.get("failure").is_none()), (name == "fine", name == "fine"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_makes_no_sense_is_rejected() {
    let project = Project::new("fine", &[("go.mod", GO_MOD), ("main.go", MAIN_GO)]);
    project.commit();
    for args in [
        &["--set", "runtime.port=1"][..],
        &["--directory", "../outside"],
        &["--directory", "nosuch"],
        &["--revision", "main"],
        &["--tag", "not a tag"],
        &["--name", "../name"],
        &["--output", "type=docker"],
    ] {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let run = Slipway::new().build(&project.path(), &args).await;
        assert_eq!(run.failure_code(), "request_invalid", "{args:?}: {}", run.text());
        assert_eq!(run.report["outcome"], "rejected", "{args:?}: {}", run.text());
        assert_eq!(run.code, 1, "{args:?}: {}", run.text());
        assert!(!run.failure()["message"].as_str().unwrap_or_default().contains("`/nosuch`"), "{}", run.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_engine_may_be_there_later() {
    let slipway = Slipway::new().env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    failed(&go_project(&slipway, &["--runner", "container"]).await, "engine_unavailable", "service", 75);
    // A repository may hold anyone's code, which is not run on the machine itself unless somebody says so.
    let repository = format!("{}/order.git", service("SLIPWAY_TEST_GIT"));
    failed(&slipway.build(Path::new(&repository), &[]).await, "engine_unavailable", "service", 75);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_registry_may_be_there_later() {
    // A port that was free a moment ago, and that nobody listens on now.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let run = go_project(&Slipway::with(&format!("127.0.0.1:{port}"), "x"), &["--push"]).await;
    failed(&run, "registry_unavailable", "service", 75);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_nobody_s_to_retry() {
    let registry = service("SLIPWAY_TEST_REGISTRY");
    let run = go_project(&Slipway::with(registry, "never-the-password"), &["--push"]).await;
    failed(&run, "registry_unauthorized", "service", 1);
    assert!(!run.text().contains("never-the-password"), "{}", run.text());
}

/// An application that builds.
async fn go_project(slipway: &Slipway, args: &[&str]) -> Run {
    let project = Project::new("fine", &[("go.mod", GO_MOD), ("main.go", MAIN_GO)]);
    project.commit();
    let run = slipway.build(&project.path(), &args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()).await;
    let references = run.report["image"]["references"].as_array().cloned().unwrap_or_default();
    for reference in references.iter().filter_map(|reference| reference.as_str()) {
        let _ = std::process::Command::new("docker").args(["image", "rm", "--force", reference]).output();
    }
    run
}

fn failed(run: &Run, code: &str, blame: &str, exit: i32) {
    assert_eq!(run.failure_code(), code, "{}", run.text());
    assert_eq!(run.failure()["blame"], blame, "{}", run.text());
    assert_eq!(run.failure()["retryable"], exit == 75, "{}", run.text());
    assert_eq!(run.code, exit, "{}", run.text());
    assert_eq!(run.report["outcome"], "failed", "{}", run.text());
    assert!(!run.failure()["message"].as_str().unwrap_or_default().is_empty(), "{}", run.text());
    assert!(!run.failure()["hint"].as_str().unwrap_or_default().is_empty(), "{}", run.text());
}

/// Builds them all, and only then says which did not fail as they should.
async fn every(all: &[Broken]) {
    let slipway = Slipway::new();
    let mut wrong = Vec::new();
    for broken in all {
        let project = Project::new("broken", broken.files);
        project.commit();
        let run =
            slipway.build(&project.path(), &broken.args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()).await;
        if let Err(why) = broken.check(&run) {
            let names: Vec<_> = broken.files.iter().map(|(path, _)| *path).collect();
            wrong.push(format!("{} of {names:?}: {why}\n{}", broken.code, run.text()));
        }
    }
    assert!(wrong.is_empty(), "{} of {} failed otherwise:\n{}", wrong.len(), all.len(), wrong.join("\n\n"));
}

impl Broken {
    fn check(&self, run: &Run) -> Result<(), String> {
        let failure = run.failure();
        let expect = |what: &str, is: &serde_json::Value, should: &str| {
            if is == should { Ok(()) } else { Err(format!("its {what} is {is}, not `{should}`")) }
        };
        expect("code", &failure["code"], self.code)?;
        expect("blame", &failure["blame"], self.blame)?;
        expect("step", failure.get("step").unwrap_or(&"".into()), self.step)?;
        expect("outcome", &run.report["outcome"], "failed")?;
        if run.code != 1 {
            return Err(format!("the exit code is {}, not 1", run.code));
        }
        if let Some((path, line)) = self.place {
            let places = failure["places"].as_array().cloned().unwrap_or_default();
            if !places.iter().any(|place| place["path"] == path && place["line"] == line) {
                return Err(format!("no place is {path}:{line}"));
            }
        }
        let text = |key: &str| match &failure[key] {
            serde_json::Value::Array(lines) => {
                lines.iter().filter_map(|line| line.as_str()).collect::<Vec<_>>().join("\n")
            }
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        for (key, wanted) in [("message", self.says), ("candidates", self.candidates), ("log_tail", self.log)] {
            let is = text(key);
            if let Some(missing) = wanted.iter().find(|wanted| !is.contains(**wanted)) {
                return Err(format!("its {key} has no `{missing}`"));
            }
        }
        if text("hint").is_empty() { Err("it has no hint".to_owned()) } else { Ok(()) }
    }
}
