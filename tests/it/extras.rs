//! Several JDKs in one build, Maven runs on one and compiles with another, and Maven itself of another version.

use std::process::Command;

use crate::support::project::Project;
use crate::support::slipway::Slipway;

/// Compiles with JDK 8 alone: later ones have no `sun.misc.BASE64Encoder`. It starts on any, which load it only then.
const MAIN: &str = "package com.example;

public class Main {
    public static void main(String[] arguments) {
        if (arguments.length > 0) System.out.println(new sun.misc.BASE64Encoder().encode(\"built\".getBytes()));
    }
}
";

/// Maven has to run on JDK 17: its own rule says so.
const POM: &str = "<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>com.example</groupId>
  <artifactId>two-jdks</artifactId>
  <version>1</version>
  <properties>
    <maven.compiler.source>1.8</maven.compiler.source>
    <maven.compiler.target>1.8</maven.compiler.target>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
  <build>
    <plugins>
      <plugin>
        <artifactId>maven-enforcer-plugin</artifactId>
        <version>3.5.0</version>
        <executions>
          <execution>
            <goals><goal>enforce</goal></goals>
            <configuration><rules><requireJavaVersion><version>[17,18)</version></requireJavaVersion></rules></configuration>
          </execution>
        </executions>
      </plugin>
      <plugin>
        <artifactId>maven-toolchains-plugin</artifactId>
        <version>3.2.0</version>
        <executions><execution><goals><goal>toolchain</goal></goals></execution></executions>
        <configuration><toolchains><jdk><version>1.8</version></jdk></toolchains></configuration>
      </plugin>
      <plugin>
        <artifactId>maven-jar-plugin</artifactId>
        <configuration><archive><manifest><mainClass>com.example.Main</mainClass></manifest></archive></configuration>
      </plugin>
    </plugins>
  </build>
</project>
";

#[tokio::test(flavor = "multi_thread")]
async fn maven_runs_on_jdk_17_and_compiles_with_jdk_8() {
    let project = Project::new("two-jdks", &[("pom.xml", POM), ("src/main/java/com/example/Main.java", MAIN)]);
    project.commit();
    // What JDK 8 compiled uses a class that 17 no longer has: that it cannot start there is what shows it.
    let slipway = Slipway::new().and("[build.start_check]\nenabled = false\n");
    let run = slipway.build(&project.path(), &[]).await;
    let references = run.report["image"]["references"].as_array().cloned().unwrap_or_default();
    for reference in references.iter().filter_map(|reference| reference.as_str()) {
        let _ = Command::new("docker").args(["image", "rm", "--force", reference]).output();
    }
    assert_eq!(run.report["outcome"], "succeeded", "{}", run.text());
    assert_eq!(run.report["toolchain"]["version"], "17", "{}", run.text());
    let extras = run.report["toolchain"]["extras"].as_array().cloned().unwrap_or_default();
    let names: Vec<_> = extras.iter().filter_map(|extra| extra["name"].as_str()).collect();
    assert_eq!(names, ["jdk-8", "jdk-17"], "the image is JDK 8's, whose C library is newer: {}", run.text());
    assert!(run.stderr.contains("JDK[/slipway/extras/jdk-8]"), "{}", run.text());
    let decided = run.report["decisions"].as_array().unwrap();
    let extras = decided.iter().find(|decision| decision["key"] == "toolchain.extras").expect("it is a decision");
    assert_eq!(extras["origin"]["path"], "pom.xml");
}

/// Maven itself has to be the one that the wrapper names, where it compiles and where it deploys: the project's own rule says so.
const OTHER_MAVEN: &str = "<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>com.example</groupId>
  <artifactId>other-maven</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <distributionManagement><repository><id>here</id><url>file:///workspace/target/deployed</url></repository></distributionManagement>
  <build>
    <plugins>
      <plugin>
        <artifactId>maven-enforcer-plugin</artifactId>
        <version>3.5.0</version>
        <executions>
          <execution>
            <goals><goal>enforce</goal></goals>
            <configuration><rules><requireMavenVersion><version>[3.6.3]</version></requireMavenVersion></rules></configuration>
          </execution>
        </executions>
      </plugin>
    </plugins>
  </build>
</project>
";

#[tokio::test(flavor = "multi_thread")]
async fn the_maven_that_a_wrapper_names_is_fetched_and_used() {
    let wrapper = "distributionUrl=https://repo.example.com/apache-maven/3.6.3/apache-maven-3.6.3-bin.zip\n";
    let files = [("pom.xml", OTHER_MAVEN), (".mvn/wrapper/maven-wrapper.properties", wrapper)];
    let project = Project::new("other-maven", &files);
    project.commit();
    let run = Slipway::new().build(&project.path(), &["--kind".to_owned(), "library".to_owned()]).await;
    assert_eq!(run.report["outcome"], "succeeded", "{}", run.text());
    assert_eq!(run.report["library"]["coordinates"], "com.example:other-maven:1", "{}", run.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extra_that_is_not_there_is_named_with_what_is() {
    let project = Project::new("two-jdks", &[("pom.xml", POM), ("src/main/java/com/example/Main.java", MAIN)]);
    project.commit();
    let run =
        Slipway::new().build(&project.path(), &["--set".to_owned(), "toolchain.extras=[\"jdk-7\"]".to_owned()]).await;
    assert_eq!(run.failure_code(), "version_unknown", "{}", run.text());
    assert!(run.failure()["candidates"].to_string().contains("jdk-21"), "{}", run.text());
}
