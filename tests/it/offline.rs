//! A warm cache is used without the network, and the network only for what the cache has lost.

use std::path::Path;

use crate::support::project::Project;
use crate::support::slipway::{PRODUCT_LINE, Slipway};

const POM: &str = "<project><modelVersion>4.0.0</modelVersion>
<groupId>com.example</groupId><artifactId>warm</artifactId><version>1</version>
<properties><maven.compiler.release>17</maven.compiler.release></properties>
<build><plugins><plugin><artifactId>maven-jar-plugin</artifactId>
<configuration><archive><manifest><mainClass>a.Main</mainClass></manifest></archive></configuration>
</plugin></plugins></build></project>";

const MAIN: &str = "package a;\n\npublic class Main {\n    public static void main(String[] arguments) {}\n}\n";

/// Builds; gives the report, and how often Maven began.
async fn build(project: &Project, cache: &Path) -> (serde_json::Value, usize) {
    let slipway = Slipway::new().env("SLIPWAY__CACHE__DIRECTORY", cache.to_str().unwrap());
    let directory = project.path().display().to_string();
    let args = ["build", "--format", "jsonl", "--product-line", PRODUCT_LINE, &directory].map(str::to_owned);
    let output = slipway.command(&args).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = serde_json::from_str(text.lines().last().unwrap_or("null")).unwrap();
    (report, text.matches("Scanning for projects").count())
}

/// The directories of a plugin of Maven's in a cache.
fn plugin(cache: &Path, name: &str) -> Vec<String> {
    let found = crate::services::run(cache, &["find", ".", "-type", "d", "-path", &format!("*/plugins/{name}")]);
    found.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn maven_asks_the_network_once_more_only_for_what_the_cache_lost() {
    let cache = tempfile::tempdir().unwrap();
    let project = Project::new("warm", &[("pom.xml", POM), ("src/main/java/a/Main.java", MAIN)]);
    let (report, runs) = build(&project, cache.path()).await;
    assert_eq!((&report["outcome"], runs), (&"succeeded".into(), 1), "{report:#}");

    project.write("src/main/java/a/Main.java", "package a;\n\npublic class Main { int x = \"no number\"; }\n");
    let (report, runs) = build(&project, cache.path()).await;
    assert_eq!((&report["failure"]["code"], runs), (&"compile_failed".into(), 1), "{report:#}");
    assert!(report["failure"]["message"].as_str().unwrap().contains("Main.java"), "{report:#}");

    project.write("src/main/java/a/Main.java", MAIN);
    let lost = plugin(cache.path(), "maven-jar-plugin");
    assert!(!lost.is_empty());
    for directory in lost {
        std::fs::remove_dir_all(cache.path().join(directory)).unwrap();
    }
    let (report, runs) = build(&project, cache.path()).await;
    assert_eq!((&report["outcome"], runs), (&"succeeded".into(), 2), "{report:#}");
    assert!(!plugin(cache.path(), "maven-jar-plugin").is_empty(), "it was fetched again");
}
