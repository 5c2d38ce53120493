//! Files of settings in, ports and names out.

use super::*;
use crate::model::source_tree::SourceTree;
use crate::toolchain::manifest::pom::wrapper::Invocation;
use proptest::prelude::*;

fn port(files: &[(&str, &str)]) -> Option<String> {
    let pom = "<project><artifactId>m</artifactId><properties><p>8123</p></properties></project>";
    let tree = SourceTree::of_texts(files.iter().copied().chain([("pom.xml", pom)]));
    let facts = toml::Table::new();
    let poms = Poms::new(&tree, &facts, Invocation::default(), None);
    let module = Effective::of(&poms, &poms.load("pom.xml").unwrap().unwrap(), &[]).unwrap();
    let found = Configuration::of(&poms, &module).port(&["server.port"], &module)?;
    Some(format!("{} {}", found.value, found.origin))
}

#[test]
fn the_port_is_what_the_application_would_take() {
    let yml = "src/main/resources/application.yml";
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[(yml, "server:\n  port: 9000 # x\n")], "9000 src/main/resources/application.yml:2: server.port"),
        (&[(yml, "server: { port: 9010, address: x }\n")], "9010 src/main/resources/application.yml:1: server.port"),
        (
            &[("src/main/resources/bootstrap.yml", "server:\n  port: 9011\n"), (yml, "a: b\n")],
            "9011 src/main/resources/bootstrap.yml:2: server.port",
        ),
        (
            &[("src/main/resources/bootstrap.yml", "server:\n  port: 9011\n"), (yml, "server.port: 9012\n")],
            "9012 src/main/resources/application.yml:1: server.port",
        ),
        (
            &[
                ("src/main/resources/bootstrap.yml", "spring:\n  profiles:\n    active: dev\n"),
                ("src/main/resources/application-dev.yml", "server.port: 9013\n"),
            ],
            "9013 src/main/resources/application-dev.yml:1: server.port",
        ),
        (&[(yml, "server.port: ${PORT:${OTHER:9001}}\n")], "9001 src/main/resources/application.yml:1: server.port"),
        (
            &[(yml, "server:\n  port: ${a.b}\na:\n  b: '9002'\n")],
            "9002 src/main/resources/application.yml:2: server.port",
        ),
        (&[(yml, "server:\n  port: '@p@'\n")], "8123 src/main/resources/application.yml:2: server.port"),
        (
            &[(yml, "server.port: 1\n---\nspring:\n  profiles: test\nserver.port: 2\n")],
            "1 src/main/resources/application.yml:1: server.port",
        ),
        (
            &[
                (yml, "spring:\n  profiles:\n    active: dev\nserver:\n  port: 1\n"),
                ("src/main/resources/application-dev.yml", "server:\n  port: 2\n"),
            ],
            "2 src/main/resources/application-dev.yml:2: server.port",
        ),
        (
            &[(yml, "server.port: 1\n"), ("src/main/resources/config/application.yml", "server.port: 3\n")],
            "3 src/main/resources/config/application.yml:1: server.port",
        ),
        (
            &[("src/main/resources/application.properties", "# server.port=1\nserver.port = 4\n")],
            "4 src/main/resources/application.properties:2: server.port",
        ),
    ];
    for (files, expected) in table {
        assert_eq!(port(files).as_deref(), Some(*expected), "{files:?}");
    }
    let named = "class C { void c() { builder.properties(\"spring.config.name=shop\"); } }";
    let files: &[_] = &[
        ("src/main/java/C.java", named),
        ("src/main/resources/shop.yml", "spring.profiles.include: shared\n"),
        ("src/main/resources/shop-shared.yml", "server:\n  port: ${SHOP_PORT:9411}\n"),
    ];
    assert_eq!(port(files).as_deref(), Some("9411 src/main/resources/shop-shared.yml:2: server.port"));
    assert_eq!(port(&files[1..]), None);
    for nothing in [
        "server:\n  port: 0\n",
        "server:\n  port: ${PORT}\n",
        "# server.port: 1\n",
        "management:\n  server:\n    port: 2\n",
        "server.port: ${server.port}\n",
    ] {
        assert_eq!(port(&[(yml, nothing)]), None, "{nothing}");
    }
}

#[test]
fn one_of_several_names_is_chosen_by_nobody() {
    let named = "class A { void a() { System.setProperty(\"spring.config.name\", \"shop\"); } }";
    let other = "class B { void b() { System.setProperty(\"spring.config.name\", \"stock\"); } }";
    let files: &[_] = &[
        ("src/main/java/A.java", named),
        ("src/main/resources/shop.yml", "server.port: 1111\n"),
        ("src/main/resources/stock.yml", "server.port: 2222\n"),
        ("src/main/java/B.java", other),
    ];
    assert_eq!(port(&files[..3]).as_deref(), Some("1111 src/main/resources/shop.yml:1: server.port"));
    assert_eq!(port(files), None);
}

#[test]
fn configuration_of_microprofile_is_the_weakest() {
    let weakest = (MICROPROFILE, "server.port=8180\n");
    assert!(port(&[weakest]).unwrap().starts_with("8180 "));
    assert!(
        port(&[weakest, ("src/main/resources/application.yaml", "server.port: 8181\n")]).unwrap().starts_with("8181 ")
    );
}

#[test]
fn a_port_of_an_own_key() {
    let read = |conf: &str| {
        let tree = SourceTree::of_texts([
            ("pom.xml", "<project><artifactId>m</artifactId></project>"),
            ("src/main/resources/application.conf", conf),
        ]);
        let facts = toml::Table::new();
        let poms = Poms::new(&tree, &facts, Invocation::default(), None);
        let module = Effective::of(&poms, &poms.load("pom.xml").unwrap().unwrap(), &[]).unwrap();
        let configuration = Configuration::of(&poms, &module);
        configuration.port_by_ending(&["http.port"], &["akka."], &module).map(|found| found.value)
    };
    assert_eq!(read("shop { http { port = 9001\n port = ${?PORT} } }\nakka.management.http.port = 8558\n"), Some(9001));
    assert_eq!(read("http.port = 9001\nadmin { http.port = 9002 }\n"), None);
    assert_eq!(read("nothttp.port = 9001\n"), None);
}

#[test]
fn resources_lie_where_the_pom_has_them() {
    let pom = "<project><artifactId>m</artifactId><build><resources><resource><directory>src/main/resources</directory></resource><resource><directory>${project.basedir}/src/main/config</directory></resource></resources></build></project>";
    let tree = SourceTree::of_texts([
        ("pom.xml", pom),
        ("src/main/config/application.properties", "server.port = ${SHOP_PORT:8012}\n"),
    ]);
    let facts = toml::Table::new();
    let poms = Poms::new(&tree, &facts, Invocation::default(), None);
    let module = Effective::of(&poms, &poms.load("pom.xml").unwrap().unwrap(), &[]).unwrap();
    let found = Configuration::of(&poms, &module).port(&["server.port"], &module).unwrap();
    assert_eq!(
        format!("{} {}", found.value, found.origin),
        "8012 src/main/config/application.properties:1: server.port"
    );
}

#[test]
fn connectors_of_dropwizard() {
    let text = "server:\n  applicationConnectors:\n    - type: http\n      port: ${PORT:-8081}\n  adminConnectors:\n    - type: http\n      port: 8082\n";
    let found = ports_of("config.yml", text, &["server.applicationconnectors.port"]);
    assert_eq!((found.len(), found[0].value, found[0].origin.line), (1, 8081, Some(4)));
    for (value, expected) in
        [("${WEB_PORT:-0}", Some("WEB_PORT")), ("${PORT}", Some("PORT")), ("0", None), ("${}", None)]
    {
        let text = text.replace("${PORT:-8081}", value);
        let found = variable_of("config.yml", &text, &["server.applicationconnectors.port"]);
        assert_eq!(found.map(|found| found.value).as_deref(), expected, "{value}");
    }
}

proptest! {
    #[test]
    fn never_panics(text in "([a-z.:=#@${}' -]|\\n|  |---|server|port){0,60}") {
        let _ = port(&[("src/main/resources/application.yml", &text), ("src/main/resources/application.properties", &text)]);
    }
}
