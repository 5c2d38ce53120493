//! What kinds of artifacts start, and what a plan says of one beforehand.

use std::path::PathBuf;

/// How an executable archive carries its dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A Spring Boot jar: `BOOT-INF/classes`, `BOOT-INF/lib`.
    SpringBoot,
    /// An executable Spring Boot war: `WEB-INF/lib`, `WEB-INF/lib-provided`.
    SpringBootWar,
    /// A Quarkus fast-jar: the directory `quarkus-app`.
    Quarkus,
    /// One jar with everything in it: shaded, assembled, or without dependencies.
    SelfContained,
    /// A thin jar whose manifest names jars beside it.
    ClassPath,
    /// A jar that names nothing; Maven collected its class path in `dependency/`.
    Thin,
    /// A war for a servlet container, which Maven unpacked in `slipway-container/`.
    War,
}

impl Kind {
    /// The name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SpringBoot => "spring-boot",
            Self::SpringBootWar => "war-executable",
            Self::Quarkus => "quarkus-fast-jar",
            Self::SelfContained => "self-contained",
            Self::ClassPath => "plain-classpath",
            Self::Thin => "thin",
            Self::War => "war",
        }
    }

    /// What a plan's shape makes; `None` for a shape that tells nothing of it.
    #[must_use]
    pub fn of_shape(shape: &str) -> Option<Self> {
        match shape {
            "spring-boot" => Some(Self::SpringBoot),
            "war-executable" => Some(Self::SpringBootWar),
            "quarkus-fast-jar" => Some(Self::Quarkus),
            "quarkus-legacy" | "plain-classpath" => Some(Self::ClassPath),
            "quarkus-uber" | "micronaut" | "shaded" => Some(Self::SelfContained),
            "thin" => Some(Self::Thin),
            "war" => Some(Self::War),
            _ => None,
        }
    }
}

/// What the plan says about the artifact; what it does not say is read from the artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectation {
    /// The class with `main`.
    pub main_class: Option<String>,
    /// The artifact's file name, with or without its extension (Maven's `build.finalName`).
    pub final_name: Option<String>,
    /// How it carries its dependencies: it tells several archives apart.
    pub kind: Option<Kind>,
    /// Where a war answers below the container's root, without slashes around it.
    pub context_root: Option<String>,
}

/// The archive that starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JarFacts {
    /// Where it is, relative to `target/`.
    pub path: PathBuf,
    /// How it carries its dependencies.
    pub kind: Kind,
    /// The application's class with `main`: for Spring Boot its `Start-Class`, not the loader.
    pub main_class: String,
}
