//! Mirrors that do not know the operator's account.

use super::planted::Planted;
use super::{GO, GO_ARGS, MAIN, POM, PYTHON, committed, path};
use crate::support::private::USER;

/// What a mirror refuses is the operator's to mend, and the failure says so by the setting's name.
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_refuses_the_account_is_named_with_its_credentials() {
    let planted = Planted::new().await;
    planted.write("settings.xml", &format!(
        "<settings><servers><server><id>nexus</id><username>{USER}</username><password>another-password</password></server></servers>\
         <mirrors><mirror><id>nexus</id><mirrorOf>*</mirrorOf><url>{}</url></mirror></mirrors></settings>",
        planted.server.url("maven")
    ));
    let unique = format!("refused-{}", uuid::Uuid::now_v7().simple());
    // A plugin of a version that no cache has.
    let pom = POM.replace("RESOURCES", "").replace(
        "<artifactId>maven-jar-plugin</artifactId>",
        "<artifactId>maven-jar-plugin</artifactId><version>0.0.1-slipway</version>",
    );
    let maven = committed(&unique, &[("pom.xml", &pom), ("src/main/java/a/Main.java", MAIN)]);
    let built = planted.build(&path(&maven), &[]).await;
    let failure = &built.report["failure"];
    let hint = failure["hint"].as_str().unwrap_or_default();
    assert!(hint.contains("`mirrors.maven_settings`") && hint.contains("refuses the account"), "{failure:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_and_a_proxy_that_refuse_the_account_are_named_likewise() {
    let mut planted = Planted::new().await;
    // What other builds have brought would be there without asking.
    let cache = tempfile::tempdir().unwrap();
    planted.cache = cache.path().display().to_string();
    for place in ["simple", "go"] {
        planted.write(place, "another-password");
    }
    let python = committed("refused-python", PYTHON);
    let go = committed("refused-go", GO);
    for (project, args, setting) in
        [(python, [].as_slice(), "`mirrors.python_index`"), (go, GO_ARGS, "`mirrors.go_proxy`")]
    {
        let built = planted.build(&path(&project), args).await;
        let failure = &built.report["failure"];
        let hint = failure["hint"].as_str().unwrap_or_default();
        assert!(hint.contains(setting) && hint.contains("refuse"), "{failure:#}");
    }
}
