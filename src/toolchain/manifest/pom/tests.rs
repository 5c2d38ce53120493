//! Whole small repositories.

use super::*;
use crate::model::source_tree::SourceTree;
use proptest::prelude::*;

fn read_tree(tree: &SourceTree, module: Option<&str>, library: bool) -> Result<Findings, Failure> {
    let facts: toml::Table = toml::from_str(include_str!("../../../../toolchains/maven/facts.toml")).unwrap();
    let inspection = Inspection {
        tree,
        directory: "",
        application: "app",
        module,
        process: None,
        command_given: false,
        library,
        args: &[],
        facts: &facts,
    };
    read(&inspection)
}

const BOOT: &str = "<build><plugins><plugin><groupId>org.springframework.boot</groupId><artifactId>spring-boot-maven-plugin</artifactId><executions><execution><goals><goal>repackage</goal></goals></execution></executions></plugin></plugins></build>";

fn root(modules: &str, rest: &str) -> String {
    format!(
        "<project>\n<groupId>g</groupId>\n<artifactId>p</artifactId>\n<version>1</version><packaging>pom</packaging>\n<properties>\n<maven.compiler.source>1.8</maven.compiler.source>\n</properties><modules>{modules}</modules>{rest}</project>"
    )
}

fn module(artifact: &str, rest: &str) -> String {
    format!(
        "<project>\n<parent><groupId>g</groupId><artifactId>p</artifactId><version>1</version></parent>\n<artifactId>{artifact}</artifactId>{rest}</project>"
    )
}

fn shown(findings: &Findings) -> Vec<String> {
    findings.versions.iter().map(|found| format!("{} from {}", found.value, found.origin)).collect()
}

#[test]
fn a_jdk_8_reactor_with_one_application() {
    let root = root("<module>web</module><module>lib</module>", "");
    let web = module(
        "web",
        &format!(
            "<dependencies><dependency><groupId>g</groupId><artifactId>lib</artifactId><version>${{project.version}}</version></dependency></dependencies>{BOOT}"
        ),
    );
    let lib = module("lib", "");
    let tree = SourceTree::of_texts([
        ("pom.xml", root.as_str()),
        ("web/pom.xml", &web),
        ("lib/pom.xml", &lib),
        ("web/src/main/resources/application.yml", "server:\n  port: ${PORT:8081}\n"),
    ]);
    let findings = read_tree(&tree, None, false).unwrap();
    assert_eq!(findings.module.as_ref().unwrap().value, "web");
    assert_eq!(shown(&findings), ["8 or later from pom.xml:6: maven.compiler.source"]);
    assert_eq!(
        (findings.shape.as_str(), findings.ports[0].value, findings.ports[0].origin.line),
        ("spring-boot", 8081, Some(2))
    );
    assert_eq!((&findings.variables["module_dir"], &findings.variables["reactor_root"]), (&json!("web"), &json!("")));
}

#[test]
fn several_applications_are_named_and_settled() {
    let root = root("<module>a</module><module>b</module>", "");
    let (a, b) = (module("a", BOOT), module("b", BOOT));
    let tree = SourceTree::of_texts([("pom.xml", root.as_str()), ("a/pom.xml", &a), ("b/pom.xml", &b)]);
    let failure = read_tree(&tree, None, false).unwrap_err();
    assert_eq!(
        (failure.code, failure.candidates.join(" ").as_str(), failure.places[1].line),
        (FailureCode::ApplicationAmbiguous, "a b", Some(3))
    );
    for wanted in ["b", "g:b"] {
        assert_eq!(read_tree(&tree, Some(wanted), false).unwrap().variables["module_dir"], json!("b"));
    }
    assert_eq!(read_tree(&tree, Some("c"), false).unwrap_err().code, FailureCode::ApplicationNotFound);
}

#[test]
fn an_inherited_boot_plugin_is_told_apart_by_main_classes() {
    let root = root("<module>a</module><module>b</module>", BOOT);
    let (a, b) = (module("a", ""), module("b", ""));
    let tree = SourceTree::of_texts([
        ("pom.xml", root.as_str()),
        ("a/pom.xml", &a),
        ("b/pom.xml", &b),
        ("b/src/main/java/B.java", "class B { public static void main(String[] a) {} }"),
        ("a/src/main/java/A.java", "// static void main(\nclass A {}"),
    ]);
    assert_eq!(read_tree(&tree, None, false).unwrap().module.unwrap().value, "b");
}

#[test]
fn libraries_and_wars() {
    let jar = "<project><groupId>g</groupId><artifactId>l</artifactId><version>1</version></project>";
    let tree = SourceTree::of_texts([("pom.xml", jar)]);
    let failure = read_tree(&tree, None, false).unwrap_err();
    assert!(failure.code == FailureCode::ApplicationNotFound && failure.hint.contains("kind = \"library\""));
    assert_eq!(read_tree(&tree, None, true).unwrap().shape, "library");
    let war = jar.replace("<version>", "<packaging>war</packaging><version>");
    let failure = read_tree(&SourceTree::of_texts([("pom.xml", war.as_str())]), None, false).unwrap_err();
    assert!(failure.message.contains("servlet container"), "{failure}");
}

#[test]
fn known_and_unknown_parents() {
    let pom = |group: &str, artifact: &str, version: &str, rest: &str| {
        format!(
            "<project><parent><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version><relativePath/></parent><artifactId>x</artifactId>{rest}<build><plugins><plugin><groupId>org.springframework.boot</groupId><artifactId>spring-boot-maven-plugin</artifactId></plugin></plugins></build></project>"
        )
    };
    let boot = pom(
        "org.springframework.boot",
        "spring-boot-starter-parent",
        "3.4.1",
        "<properties>\n<java.version>21</java.version></properties>",
    );
    let findings = read_tree(&SourceTree::of_texts([("pom.xml", boot.as_str())]), None, false).unwrap();
    assert_eq!(
        shown(&findings),
        [
            "21 or later from pom.xml:2: maven.compiler.release: java.version",
            "17 or later from pom.xml:1: org.springframework.boot"
        ]
    );
    let company = pom("com.example", "parent", "1-SNAPSHOT", "");
    let findings = read_tree(&SourceTree::of_texts([("pom.xml", company.as_str())]), None, false).unwrap();
    assert_eq!((findings.warnings[0].code.as_str(), findings.warnings[0].line), ("parent_not_in_tree", Some(1)));
    assert_eq!(findings.variables["snapshot_dependencies"], json!(true));
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}", tags in proptest::collection::vec("<(/)?(project|parent|build|plugins|properties|a)>|\\$\\{[a-z.]{0,9}\\}?|\n", 0..40)) {
        for pom in [text, format!("<project>{}</project>", tags.concat())] {
            let tree = SourceTree::of_texts([("pom.xml", pom.as_str()), (".java-version", pom.as_str()), (".mvn/maven.config", pom.as_str())]);
            let _ = read_tree(&tree, None, true);
        }
    }

    #[test]
    fn origins_point_at_existing_lines(lines in 0usize..9, level in "[0-9.]{1,4}") {
        let pom = format!("<project>{}<artifactId>a</artifactId><properties>{}<maven.compiler.release>{level}</maven.compiler.release></properties>{BOOT}</project>", "\n".repeat(lines), "\n".repeat(lines));
        let findings = read_tree(&SourceTree::of_texts([("pom.xml", pom.as_str())]), None, false).unwrap();
        for origin in findings.versions.iter().map(|found| &found.origin) {
            prop_assert!(origin.line.is_some_and(|line| (1..=pom.lines().count()).contains(&(line as usize))));
        }
    }
}
