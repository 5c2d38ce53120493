//! What starts of several modules, and where it listens.

use super::*;

const QUARKUS: &str = "<build><plugins><plugin><groupId>io.quarkus</groupId><artifactId>quarkus-maven-plugin</artifactId><executions><execution><goals><goal>build</goal></goals></execution></executions></plugin></plugins></build>";
const MAIN: &str = "class M { public static void main(String[] args) {} }";

fn dependency(group: &str, artifact: &str) -> String {
    format!(
        "<dependencies><dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId></dependency></dependencies>"
    )
}

fn read_below(tree: &SourceTree, directory: &str) -> Result<Findings, Failure> {
    let facts: toml::Table = toml::from_str(include_str!("../../../../../toolchains/maven/facts.toml")).unwrap();
    read(&Inspection { directory, ..inspection(tree, &facts) })
}

#[test]
fn what_quarkus_makes_needs_no_main_method() {
    let root = root("<module>orders</module><module>kitchen</module><module>menu</module>", QUARKUS);
    let orders = module("orders", &dependency("io.quarkus", "quarkus-resteasy-jsonb"));
    let (kitchen, menu) = (module("kitchen", ""), module("menu", &dependency("io.quarkus", "quarkus-core")));
    let mut files = vec![
        ("pom.xml", root.as_str()),
        ("orders/pom.xml", &orders),
        ("kitchen/pom.xml", &kitchen),
        ("kitchen/src/main/java/M.java", MAIN),
        ("menu/pom.xml", &menu),
        ("menu/src/main/java/Menu.java", "class Menu {}"),
    ];
    let read = |files: &[(&str, &str)]| read_below(&SourceTree::of_texts(files.iter().copied()), "");
    assert_eq!(read(&files).unwrap().module.unwrap().value, "orders", "the only one that serves");
    files.push(("menu/src/main/resources/application.properties", "quarkus.http.port=8081\n"));
    let orders_only = module("orders", "");
    files[1].1 = &orders_only;
    assert_eq!(read(&files).unwrap_err().candidates.join(" "), "kitchen menu");
}

#[test]
fn a_launcher_of_a_dependency_starts_the_module_that_names_it() {
    let shade = |class: &str| {
        format!(
            "<build><plugins><plugin><artifactId>maven-shade-plugin</artifactId><executions><execution><goals><goal>shade</goal></goals><configuration><transformers><transformer><manifestEntries><Main-Class>{class}</Main-Class></manifestEntries></transformer></transformers></configuration></execution></executions></plugin></plugins></build>"
        )
    };
    let root = root("<module>a</module><module>b</module><module>c</module>", "");
    let a = module("a", &(dependency("io.vertx", "vertx-core") + &shade("io.vertx.core.Launcher")));
    let b = module("b", &shade("M"));
    let c = module("c", &shade("com.example.Main"));
    let tree = SourceTree::of_texts([
        ("pom.xml", root.as_str()),
        ("a/pom.xml", &a),
        ("b/pom.xml", &b),
        ("b/src/main/java/M.java", MAIN),
        ("c/pom.xml", &c),
    ]);
    assert_eq!(read_below(&tree, "").unwrap_err().candidates.join(" "), "a b");
    // A property that the parent's plugin takes says it as well.
    let jar = "<build><plugins><plugin><artifactId>maven-jar-plugin</artifactId><configuration><archive><manifest><mainClass>${mainClass}</mainClass></manifest></archive></configuration></plugin></plugins></build>";
    let root = super::root("<module>a</module><module>b</module>", jar);
    let property = "<properties><mainClass>io.vertx.core.Launcher</mainClass></properties>";
    let a = module("a", &(dependency("io.vertx", "vertx-core") + property));
    let tree = SourceTree::of_texts([
        ("pom.xml", root.as_str()),
        ("a/pom.xml", &a),
        ("b/pom.xml", &b),
        ("b/src/main/java/M.java", MAIN),
    ]);
    assert_eq!(read_below(&tree, "").unwrap_err().candidates.join(" "), "a b");
}

#[test]
fn a_war_of_other_modules_alone_serves() {
    let root = root("<module>server</module><module>command-line-interface</module><module>war</module>", "");
    let server = module("server", &dependency("org.glassfish.jersey.containers", "jersey-container-servlet"));
    let war = module("war", &format!("<packaging>war</packaging>{}", dependency("g", "server")));
    let cli = module("cli", &BOOT.replace("<executions>", "<configuration/><executions>"));
    let tree = SourceTree::of_texts([
        ("pom.xml", root.as_str()),
        ("server/pom.xml", &server),
        ("war/pom.xml", &war),
        ("command-line-interface/pom.xml", &cli),
        ("command-line-interface/src/main/java/M.java", MAIN),
    ]);
    assert_eq!(read_below(&tree, "").unwrap().module.unwrap().value, "war");
}

#[test]
fn an_aggregator_beside_the_directory_counts_where_it_is_its_parent() {
    let build = root("<module>../web</module><module>../lib</module>", "");
    let beside = |artifact: &str, rest: &str| {
        module(artifact, rest)
            .replace("</version></parent>", "</version><relativePath>../build/pom.xml</relativePath></parent>")
    };
    let needs = dependency("g", "lib").replace("</artifactId>", "</artifactId><version>1</version>");
    let (web, lib) = (beside("web", &(needs + BOOT)), beside("lib", ""));
    let tree = SourceTree::of_texts([
        ("build/pom.xml", build.as_str()),
        ("web/pom.xml", &web),
        ("lib/pom.xml", &lib),
        ("web/src/main/java/M.java", MAIN),
    ]);
    let findings = read_below(&tree, "web").unwrap();
    assert_eq!(findings.variables["reactor_root"], json!("build"));
    assert_eq!(findings.variables["multi_module"], json!(true));
}

#[test]
fn resources_may_be_of_a_profile() {
    let rest = format!(
        "<profiles><profile><id>dev</id><activation><activeByDefault>true</activeByDefault></activation><properties><env>dev</env></properties></profile></profiles>{}",
        BOOT.replace(
            "<build>",
            "<build><resources><resource><directory>src/main/resources/${env}</directory></resource></resources>"
        )
    );
    let pom = format!("<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version>{rest}</project>");
    let tree = SourceTree::of_texts([
        ("pom.xml", pom.as_str()),
        ("src/main/resources/dev/application.yaml", "server:\n  port: 1024\n"),
        ("src/main/resources/prod/application.yaml", "server:\n  port: 1025\n"),
    ]);
    assert_eq!(read_below(&tree, "").unwrap().ports[0].value, 1024);
}

#[test]
fn a_sample_of_the_configuration_says_the_port() {
    let pom = format!("<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version>{BOOT}</project>");
    let web = dependency("org.springframework.boot", "spring-boot-starter-web");
    let pom = pom.replace("<build>", &format!("{web}<build>"));
    for (name, port) in
        [("application.yml.template", 9000), ("application-example.yml", 9000), ("application-dev.yml", 0)]
    {
        let path = format!("src/main/resources/{name}");
        let tree = SourceTree::of_texts([("pom.xml", pom.as_str()), (&path, "server:\n  port: 9000\n")]);
        let findings = read_below(&tree, "").unwrap();
        assert_eq!(findings.ports.first().map_or(0, |port| port.value), port, "{name}");
        assert_eq!(findings.warnings.iter().any(|warning| warning.code == "configuration_not_there"), port != 0);
    }
}

#[test]
fn classes_are_named_where_nothing_starts() {
    let root = root("<module>server</module><module>client</module>", "");
    let (server, client) = (module("server", ""), module("client", ""));
    let named = |class: &str| MAIN.replace(" M ", &format!(" {class} "));
    let (netty, socket) = (named("NettyServerMain"), named("SocketServerMain"));
    let tree = SourceTree::of_texts([
        ("pom.xml", root.as_str()),
        ("server/pom.xml", &server),
        ("server/src/main/java/NettyServerMain.java", &netty),
        ("server/src/main/java/SocketServerMain.java", &socket),
        ("client/pom.xml", &client),
    ]);
    let failure = read_below(&tree, "").unwrap_err();
    assert_eq!(failure.candidates.join(" "), "NettyServerMain SocketServerMain");
    assert!(failure.hint.contains("-Dexec.mainClass=NettyServerMain"), "{}", failure.hint);
}

#[test]
fn what_nothing_serves_listens_nowhere() {
    let silent = |dependencies: &str, source: &str| {
        let pom = format!(
            "<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version>{dependencies}{BOOT}</project>"
        );
        let tree = SourceTree::of_texts([("pom.xml", pom.as_str()), ("src/main/java/M.java", source)]);
        read_below(&tree, "").unwrap().silent.is_some()
    };
    let boot = |artifact: &str| dependency("org.springframework.boot", artifact);
    assert!(silent(&boot("spring-boot-starter-amqp"), MAIN));
    assert!(!silent(&boot("spring-boot-starter-web"), MAIN));
    assert!(!silent(&dependency("com.example", "everything"), MAIN));
    assert!(!silent("", "class M { void a() { new java.net.ServerSocket(port()); } }"));
}
