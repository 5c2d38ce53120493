//! Whole small repositories.

mod starting;

use super::*;
use crate::model::failure::FailureCode;
use crate::model::source_tree::SourceTree;
use proptest::prelude::*;
use serde_json::json;

fn read_tree(tree: &SourceTree, module: Option<&str>, library: bool) -> Result<Findings, Failure> {
    let facts: toml::Table = toml::from_str(include_str!("../../../../toolchains/maven/facts.toml")).unwrap();
    read(&Inspection { module, library, ..inspection(tree, &facts) })
}

fn inspection<'a>(tree: &'a SourceTree, facts: &'a toml::Table) -> Inspection<'a> {
    Inspection {
        tree,
        directory: "",
        application: "app",
        module: None,
        process: None,
        command_given: false,
        library: false,
        extras: &[],
        args: &[],
        facts,
    }
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
fn samples_beside_a_server_are_set_aside() {
    let root = root("<module>till-server</module><module>till-samples/till-sample-web</module>", "");
    let (server, sample) = (
        module("till-server", BOOT),
        module("till-sample-web", BOOT).replace("<version>", "<relativePath>../../pom.xml</relativePath><version>"),
    );
    let tree = SourceTree::of_texts([
        ("pom.xml", root.as_str()),
        ("till-server/pom.xml", &server),
        ("till-samples/till-sample-web/pom.xml", &sample),
    ]);
    assert_eq!(read_tree(&tree, None, false).unwrap().module.unwrap().value, "till-server");
}

#[test]
fn a_main_method_of_some_class_of_a_library_starts_nothing() {
    let root = root("<module>core</module><module>examples</module>", "");
    let chosen = |path: &str, class: &str| {
        let main = format!("public class {class} {{ public static void main(String[] a) {{}} }}");
        let (core, examples) = (module("core", ""), module("examples", ""));
        let tree = SourceTree::of_texts([
            ("pom.xml", root.as_str()),
            ("core/pom.xml", &core),
            ("core/src/main/java/till/Till.java", "package till;\nclass Till {}"),
            (&format!("core/src/main/java/{path}/{class}.java"), &main),
            ("examples/pom.xml", &examples),
            ("examples/src/main/java/demo/Main.java", &main),
        ]);
        read_tree(&tree, None, false).map(|found| found.module.unwrap().value).map_err(|failure| failure.code)
    };
    assert_eq!(chosen("till/limit", "Expression"), Err(FailureCode::ApplicationNotFound));
    assert_eq!(chosen("till/limit", "TillServer"), Ok("core".to_owned()));
    assert_eq!(chosen("till", "Expression"), Err(FailureCode::ApplicationNotFound));
}

#[test]
fn a_named_class_of_a_module_that_is_needed_starts() {
    let root = root("<module>core</module><module>server</module><module>cli</module>", "");
    let jar = |class: &str| {
        format!(
            "<dependencies><dependency><groupId>g</groupId><artifactId>core</artifactId><version>1</version></dependency></dependencies><build><plugins><plugin><artifactId>maven-jar-plugin</artifactId><configuration><archive><manifest><mainClass>{class}</mainClass></manifest></archive></configuration></plugin></plugins></build>"
        )
    };
    let (server, cli) = (module("server", &jar("core.Server")), module("cli", &jar("cli.Main")));
    let main = |package: &str, class: &str| {
        format!("package {package};\npublic class {class} {{ public static void main(String[] a) {{}} }}")
    };
    let tree = SourceTree::of_texts([
        ("pom.xml", root.as_str()),
        ("core/pom.xml", &module("core", "")),
        ("core/src/main/java/core/Server.java", &main("core", "Server")),
        ("server/pom.xml", &server),
        ("cli/pom.xml", &cli),
        ("cli/src/main/java/cli/Main.java", &main("cli", "Main")),
    ]);
    // The directory `cli` is for tools.
    assert_eq!(read_tree(&tree, None, false).unwrap().module.unwrap().value, "server");
}

#[test]
fn libraries_and_wars() {
    let jar = "<project><groupId>g</groupId><artifactId>l</artifactId><version>1</version></project>";
    let tree = SourceTree::of_texts([("pom.xml", jar)]);
    let failure = read_tree(&tree, None, false).unwrap_err();
    assert!(failure.code == FailureCode::ApplicationNotFound && failure.hint.contains("kind = \"library\""));
    assert_eq!(read_tree(&tree, None, true).unwrap().shape, "library");
    let war = jar.replace("<version>", "<packaging>war</packaging><version>");
    let findings = read_tree(&SourceTree::of_texts([("pom.xml", war.as_str())]), None, false).unwrap();
    assert_eq!((findings.shape.as_str(), &findings.variables["context_root"]), ("war", &json!("")));
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

#[test]
fn heaps_beyond_what_a_build_may_use() {
    let compiler = |inside: &str| {
        module("x", &BOOT.replace("<plugins>", &format!("<plugins><plugin><artifactId>maven-compiler-plugin</artifactId>\n<configuration>{inside}</configuration></plugin>")))
            .replace("<parent>", "<properties><argLine>-Da=b -Xmx9g</argLine></properties><parent>")
    };
    let beyond = |inside: &str, config: &str, tests: bool| -> Vec<String> {
        let mut facts: toml::Table = toml::from_str(include_str!("../../../../toolchains/maven/facts.toml")).unwrap();
        facts.insert("memory".into(), (4i64 << 30).into());
        facts.insert("tests".into(), tests.into());
        let pom = compiler(inside);
        let tree = SourceTree::of_texts([("pom.xml", pom.as_str()), (".mvn/jvm.config", config)]);
        let findings = read(&inspection(&tree, &facts)).unwrap();
        let warnings = findings.warnings.iter().filter(|warning| warning.code == "heap_beyond_limit");
        warnings.map(|warning| format!("{:?}:{:?} {}", warning.path, warning.line, warning.message)).collect()
    };
    let said = beyond("<fork>true</fork><maxmem>6144m</maxmem><meminitial>512</meminitial>", "-Xmx2g", false);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("pom.xml") && said[0].contains("Some(4)"), "{said:?}");
    assert!(said[0].contains("`maxmem` of maven-compiler-plugin asks for a heap of 6 GiB"), "{said:?}");
    assert!(said[0].contains("may use 4 GiB (`limits.memory`)"), "{said:?}");
    // The compiler runs in Maven's own virtual machine, and tests do not run.
    assert_eq!(beyond("<maxmem>6144m</maxmem>", "", false), [""; 0]);
    let of_tests = beyond("<fork>true</fork><maxmem>4096m</maxmem>", "-Xms1g\n-Xmx5g", true);
    assert_eq!(of_tests.len(), 2, "{of_tests:?}");
    assert!(of_tests[0].contains("`argLine` asks for a heap of 9 GiB"), "{of_tests:?}");
    assert!(of_tests[1].contains(".mvn/jvm.config") && of_tests[1].contains("5 GiB"), "{of_tests:?}");
}

/// A pom of about as many bytes as planning reads, made of one thing repeated.
fn large(before: &str, again: impl Fn(usize) -> String, after: &str) -> String {
    let mut text = format!("<project><groupId>g</groupId><artifactId>l</artifactId><version>1</version>{before}");
    for index in 0.. {
        if text.len() > 1_000_000 {
            break;
        }
        text.push_str(&again(index));
    }
    text + after + "</project>"
}

#[test]
fn the_largest_poms_are_read_or_refused_in_no_time() {
    let plugin = |inside: &str| format!("<plugin><artifactId>a</artifactId>{inside}");
    let list = |count: usize| "<i>1</i>".repeat(count);
    let poms = [
        large(
            "<build><plugins>",
            |index| format!("<plugin><artifactId>p{index}</artifactId></plugin>"),
            "</plugins></build>",
        ),
        large(
            &format!("<build><plugins>{}<executions>", plugin("")),
            |index| format!("<execution><id>e{index}</id></execution>"),
            "</executions></plugin></plugins></build>",
        ),
        large(
            &format!(
                "<build><pluginManagement><plugins>{}<configuration><l>{}</l></configuration></plugin></plugins></pluginManagement><plugins>{}<configuration><l>",
                plugin(""),
                list(60_000),
                plugin("")
            ),
            |_| "<i/>".to_owned(),
            "</l></configuration></plugin></plugins></build>",
        ),
        large(
            "<dependencies>",
            |index| format!("<dependency><groupId>g</groupId><artifactId>d{index}</artifactId></dependency>"),
            "</dependencies>",
        ),
        large(
            "<properties>",
            |index| format!("<p{index}>${{p{}}}${{p{}}}</p{index}>", index + 1, index + 1),
            "</properties>",
        ),
        large(
            "<profiles>",
            |index| {
                format!(
                    "<profile><id>p{index}</id><activation><property><name>!x</name></property></activation></profile>"
                )
            },
            "</profiles>",
        ),
        large("<modules>", |index| format!("<module>m{index}</module>"), "</modules>"),
        large("", |_| "<a>".to_owned(), ""),
        large("<a>", |_| "${".to_owned(), "</a>"),
    ];
    for pom in poms {
        let tree = SourceTree::of_texts([("pom.xml", pom.as_str())]);
        let started = std::time::Instant::now();
        let _ = read_tree(&tree, None, true);
        // A second for an optimised program on a machine of its own.
        let took = started.elapsed();
        assert!(took < std::time::Duration::from_secs(20), "{took:?}: {}", &pom[..200]);
    }
}

#[test]
fn an_aggregator_above_counts_where_it_brings_something() {
    let root = root("<module>web</module><module>lib</module>", "");
    let lib = module("lib", "");
    let alone =
        "<project><groupId>g</groupId><artifactId>web</artifactId><version>1</version>{}</project>".replace("{}", BOOT);
    let needs = alone.replace("<build>", "<dependencies><dependency><groupId>g</groupId><artifactId>lib</artifactId><version>1</version></dependency></dependencies><build>");
    for (web, expected) in [(alone, "web"), (needs, "")] {
        let tree = SourceTree::of_texts([("pom.xml", root.as_str()), ("web/pom.xml", &web), ("lib/pom.xml", &lib)]);
        let facts: toml::Table = toml::from_str(include_str!("../../../../toolchains/maven/facts.toml")).unwrap();
        let inspection = Inspection { directory: "web", ..inspection(&tree, &facts) };
        assert_eq!(read(&inspection).unwrap().variables["reactor_root"], json!(expected));
    }
}

#[test]
fn an_old_compiler_plugin_keeps_the_jdk_old_where_nothing_says_a_level() {
    let pom = |version: &str, level: &str| {
        format!(
            "<project><groupId>g</groupId><artifactId>l</artifactId><version>1</version><properties>{level}</properties><build><plugins><plugin><artifactId>maven-compiler-plugin</artifactId>{version}</plugin></plugins></build></project>"
        )
    };
    for (version, level, expected) in [
        ("<version>3.1</version>", "", vec!["below 9"]),
        ("<version>3.8.1</version>", "", vec!["below 12"]),
        ("", "", vec![]),
        ("<version>3.1</version>", "<maven.compiler.source>11</maven.compiler.source>", vec!["11 or later"]),
    ] {
        let text = pom(version, level);
        let findings = read_tree(&SourceTree::of_texts([("pom.xml", text.as_str())]), None, true).unwrap();
        let shown: Vec<String> = findings.versions.iter().map(|found| found.value.to_string()).collect();
        assert_eq!(shown, expected, "{version} {level}");
    }
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

#[test]
fn profiles_see_how_tests_are_left_out() {
    let profile = |id: &str, property: &str, level: u32| {
        format!(
            "<profile><id>{id}</id><activation><property><name>{property}</name></property></activation>\
             <properties><maven.compiler.release>{level}</maven.compiler.release></properties></profile>"
        )
    };
    let profiles = [profile("a", "!maven.test.skip", 21), profile("b", "skipTests", 17)].concat();
    let needs = "<dependencies><dependency><groupId>g</groupId><artifactId>a</artifactId><version>1</version><type>test-jar</type><scope>test</scope></dependency></dependencies>";
    let level = |needs: &str, tests: bool| {
        let root = root("<module>a</module><module>b</module>", &format!("<profiles>{profiles}</profiles>"));
        let (a, b) = (module("a", ""), module("b", &format!("{needs}{BOOT}")));
        let tree = SourceTree::of_texts([("pom.xml", root.as_str()), ("a/pom.xml", &a), ("b/pom.xml", &b)]);
        let facts = include_str!("../../../../toolchains/maven/facts.toml");
        let mut facts: toml::Table = toml::from_str(facts).unwrap();
        facts.insert("tests".into(), tests.into());
        let findings = read(&inspection(&tree, &facts)).unwrap();
        findings.versions.iter().map(|found| found.value.to_string()).collect::<Vec<_>>()
    };
    let says = |found: Vec<String>, level: &str| found.iter().any(|one| one.contains(level));
    assert!(says(level("", true), "21"), "tests run: nothing skips them");
    assert!(!says(level("", false), "21") && !says(level("", false), "17"));
    // With another module's test jar, tests are compiled; of two active profiles the later wins.
    assert!(says(level(needs, false), "17"), "{:?}", level(needs, false));
}

#[test]
fn plugins_of_the_build_have_a_jdk_of_their_own() {
    let demands = |plugin: &str| {
        let pom = module(
            "a",
            &format!(
                "<properties><maven.compiler.release>8</maven.compiler.release></properties><build><plugins><plugin>{plugin}</plugin></plugins></build>"
            ),
        );
        let tree = SourceTree::of_texts([("pom.xml", pom.as_str())]);
        let findings = read_tree(&tree, None, true).unwrap();
        findings.versions.iter().map(|found| format!("{} {}", found.value, found.origin.detail)).collect::<Vec<_>>()
    };
    let bound = |phase: &str| {
        format!("<executions><execution>{phase}<goals><goal>check</goal></goals></execution></executions>")
    };
    let spotless = |version: &str, phase: &str| {
        let name = "<groupId>com.diffplug.spotless</groupId><artifactId>spotless-maven-plugin</artifactId>";
        demands(&format!("{name}<version>{version}</version>{}", bound(phase)))
    };
    let early = "<phase>compile</phase>";
    assert!(
        spotless("3.1.0", early).iter().any(|one| one.contains("17") && one.ends_with("spotless-maven-plugin 3.1.0"))
    );
    assert!(spotless("2.43.0", early).iter().any(|one| one.contains("11")));
    assert_eq!(spotless("2.22.8", early).len(), 1, "the level alone");
    assert_eq!(spotless("3.1.0", "").len(), 1, "`check` is bound to `verify`, which does not run");
    let brought = "<dependencies><dependency><groupId>com.puppycrawl.tools</groupId><artifactId>checkstyle</artifactId><version>10.21.0</version></dependency></dependencies>";
    let checkstyle = format!(
        "<artifactId>maven-checkstyle-plugin</artifactId><version>3.6.0</version>{brought}{}",
        bound("<phase>validate</phase>")
    );
    assert!(demands(&checkstyle).iter().any(|one| one.contains("11") && one.ends_with("checkstyle 10.21.0")));
}

#[test]
fn what_a_pom_names_and_nobody_wrote_starts_nothing() {
    let jar = |class: &str| {
        format!(
            "<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version><build><plugins><plugin><artifactId>maven-jar-plugin</artifactId><configuration><archive><manifest><mainClass>{class}</mainClass></manifest></archive></configuration></plugin></plugins></build></project>"
        )
    };
    let class = |named: &str, path: &str, text: &str| {
        let pom = jar(named);
        let tree = SourceTree::of_texts([("pom.xml", pom.as_str()), (path, text)]);
        let findings = read_tree(&tree, None, false).unwrap();
        (findings.shape, findings.variables["main_class"].as_str().unwrap_or_default().to_owned())
    };
    let server = "package a.b;\nclass Server { public static void main(String[] args) {} }";
    let (place, thin) = ("src/main/java/a/b/Server.java", ("thin".to_owned(), "a.b.Server".to_owned()));
    assert_eq!(class("Main", place, server), thin);
    assert_eq!(class("a.b.Main", place, server), thin);
    // Somebody else's, a class beside another in its file, and what may be in a file of any name.
    let plain = |class: &str| ("plain-classpath".to_owned(), class.to_owned());
    assert_eq!(class("io.vertx.core.Launcher", place, server), plain("io.vertx.core.Launcher"));
    assert_eq!(class("a.b.Server", "src/main/java/a/b/All.java", server), plain("a.b.Server"));
    assert_eq!(class("a.b.Main", "src/main/kotlin/a/b/Other.kt", "package a.b"), plain("a.b.Main"));
}

#[test]
fn dockerfiles_choose_by_what_they_copy_from_a_stage() {
    let (shop, desk) = (module("shop", BOOT), module("desk", BOOT));
    let root = root("<module>shop</module><module>desk</module>", "");
    let chosen = |path: &str, text: &str| {
        let tree = SourceTree::of_texts([
            ("pom.xml", root.as_str()),
            ("shop/pom.xml", &shop),
            ("desk/pom.xml", &desk),
            (path, text),
        ]);
        read_tree(&tree, None, false).map(|findings| findings.module.unwrap().value).map_err(|failure| failure.code)
    };
    let copies = "FROM maven AS build\nWORKDIR /src\nRUN mvn package\nFROM jre\nCOPY --from=build /src/desk/target/*.jar app.jar\n";
    for path in ["Dockerfile", "docker/Dockerfile.desk", "desk.Dockerfile"] {
        assert_eq!(chosen(path, copies), Ok("desk".to_owned()), "{path}");
    }
    let both = format!("{copies}COPY --from=build /src/shop/target/*.jar shop.jar\n");
    for (path, text) in [("Dockerfile", both.as_str()), ("deploy/old/Dockerfile", copies), ("shop/Dockerfile", copies)]
    {
        assert_eq!(chosen(path, text), Err(FailureCode::ApplicationAmbiguous), "{path}");
    }
}

#[test]
fn what_spring_boot_packs_without_spring_listens_where_it_says() {
    let packed = |dependency: &str, source: &str| {
        let pom = format!(
            "<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version>{dependency}{BOOT}</project>"
        );
        let tree = SourceTree::of_texts([
            ("pom.xml", pom.as_str()),
            ("src/main/java/A.java", source),
            ("Dockerfile", "FROM jre\nEXPOSE 1883\n"),
        ]);
        read_tree(&tree, None, false).unwrap().ports.iter().map(|port| port.value).collect::<Vec<_>>()
    };
    let web = "<dependencies><dependency><groupId>org.springframework.boot</groupId><artifactId>spring-boot-starter-web</artifactId></dependency></dependencies>";
    assert_eq!(packed("", "class A {}"), [1883]);
    assert!(packed(web, "class A {}").is_empty());
    assert!(packed("", "import org.springframework.boot.SpringApplication; class A {}").is_empty());
}

#[test]
fn a_war_of_a_platform_that_only_a_server_has() {
    let warned = |dependencies: &str| {
        let pom = format!(
            "<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version><packaging>war</packaging><dependencies>{dependencies}</dependencies></project>"
        );
        let source = "import javax.ws.rs.GET;\nclass A {}";
        let tree = SourceTree::of_texts([("pom.xml", pom.as_str()), ("src/main/java/A.java", source)]);
        read_tree(&tree, None, false).unwrap().warnings.iter().any(|warning| warning.code == "needs_application_server")
    };
    let dependency = |group: &str, artifact: &str, scope: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>1</version><scope>{scope}</scope></dependency>"
        )
    };
    let platform = dependency("javax", "javaee-api", "provided");
    assert!(warned(&platform));
    assert!(warned(&format!("{platform}{}", dependency("org.glassfish.jersey.core", "jersey-client", "test"))));
    assert!(!warned(&format!(
        "{platform}{}",
        dependency("org.glassfish.jersey.containers", "jersey-container-servlet", "runtime")
    )));
    assert!(!warned(&dependency("javax.ws.rs", "javax.ws.rs-api", "compile")));
}
