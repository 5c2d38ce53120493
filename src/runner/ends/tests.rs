//! Ends and last lines in, codes and messages out.

use std::collections::BTreeMap;

use super::*;
use crate::model::command::{Limits, Network};

fn command(step: Step) -> Command {
    Command {
        build: "b1".to_owned(),
        step,
        argv: vec!["mvn".to_owned()],
        workdir: "/workspace".into(),
        env: BTreeMap::new(),
        network: Network::None,
        image: "build".to_owned(),
        workspace: "/w".into(),
        caches: vec![CacheMount { source: "/var/cache/m2".into(), target: "/cache/m2".into() }],
        files: Vec::new(),
        limits: Limits::default(),
    }
}

fn code(exit: Exit, step: Step, lines: &[&str]) -> FailureCode {
    let mut tail = Tail::default();
    for line in lines {
        tail.push(line);
    }
    failure_of(exit, &command(step), &tail).code
}

#[test]
fn ends_have_their_codes() {
    use FailureCode as F;
    let refused = "[ERROR] Could not transfer artifact a:b:1: Connect to repo:443 failed: Connection refused";
    for (exit, step, line, expected) in [
        (Exit::Code(1), Step::Compile, "[ERROR] cannot find symbol", F::CompileFailed),
        (Exit::Code(1), Step::Compile, refused, F::DependencyUnavailable),
        (Exit::Code(1), Step::Compile, "my program: Connection refused", F::CompileFailed),
        (
            Exit::Code(1),
            Step::Compile,
            "Could not transfer artifact a:b:1 from/to c (u): status code: 503, reason phrase: Service Unavailable (503)",
            F::DependencyUnavailable,
        ),
        (Exit::Code(1), Step::Compile, "Could not transfer artifact a:b:1: status code: 429", F::DependencyUnavailable),
        (Exit::Code(1), Step::Compile, "dial tcp: lookup x: i/o timeout", F::DependencyUnavailable),
        (Exit::Code(1), Step::Compile, "error reading /cache/m2/a.jar; zip END header not found", F::CacheDamaged),
        (Exit::Code(1), Step::Compile, "error reading /workspace/a.jar; zip END header not found", F::CompileFailed),
        (Exit::Code(1), Step::Compile, "java.lang.OutOfMemoryError: Java heap space", F::OutOfMemory),
        (Exit::Code(1), Step::Compile, "[ERROR] There are test failures.", F::TestsFailed),
        (Exit::Code(1), Step::Compile, "cp: No space left on device", F::DiskFull),
        (Exit::Code(1), Step::Compile, "write /output/application: no space left on device", F::DiskFull),
        (Exit::Code(1), Step::Deploy, "status: 409 Conflict", F::DeployFailed),
        (Exit::Code(1), Step::Deploy, "status: 401 Unauthorized", F::DeployUnauthorized),
        (Exit::Code(1), Step::Compile, "status: 401 Unauthorized", F::CompileFailed),
        (Exit::Code(137), Step::Compile, "", F::OutOfMemory),
        (Exit::OutOfMemory, Step::Compile, "", F::OutOfMemory),
        (Exit::TimedOut, Step::Compile, "", F::TimedOut),
        (Exit::Silent, Step::Compile, "", F::TimedOut),
        (Exit::Cancelled, Step::Compile, "", F::Cancelled),
    ] {
        assert_eq!(code(exit, step, &[line]), expected, "{exit:?} {line}");
    }
}

#[test]
fn only_a_version_that_is_there_is_said_to_be() {
    let hint = |line: &str| {
        let mut tail = Tail::default();
        tail.push(line);
        failure_of(Exit::Code(1), &command(Step::Deploy), &tail).hint
    };
    let there = hint("status: 400 Repository does not allow updating assets: releases");
    assert!(there.contains("has this version already"), "{there}");
    assert_eq!(hint("status: 409 Conflict"), there);
    let already = |line: &str| {
        let mut tail = Tail::default();
        tail.push("status: 409 Conflict");
        tail.push(line);
        is_there_already(&failure_of(Exit::Code(1), &command(Step::Deploy), &tail))
    };
    assert!(already("[INFO] BUILD FAILURE"));
    assert!(!already("[INFO] web ................ SKIPPED"), "of several modules the first was there");
    assert_ne!(hint("status: 400 Repository version policy: RELEASE does not allow version: 1-SNAPSHOT"), there);
}

#[test]
fn messages_say_what_happened() {
    let said = |exit| failure_of(exit, &command(Step::Compile), &Tail::default()).message;
    let cached =
        Command { argv: vec!["/cache/m2/maven/apache-maven-3.6.3/bin/mvn".to_owned()], ..command(Step::Compile) };
    assert_eq!(failure_of(Exit::Code(1), &cached, &Tail::default()).message, "`mvn` ended with exit code 1");
    assert_eq!(said(Exit::Code(2)), "`mvn` ended with exit code 2");
    assert_eq!(said(Exit::Code(139)), "`mvn` was ended by signal 11");
    assert_eq!(said(Exit::TimedOut), "`mvn` was stopped after its time of 30 min");
    assert_eq!(said(Exit::OutOfMemory), "`mvn` used more than its 4096 MiB of memory");
}
