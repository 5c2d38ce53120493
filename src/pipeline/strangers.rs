//! Builds of sources that nobody vouches for, such as a fork's: what they must not see.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use roxmltree::Node;

use super::commands::Env;
use super::services::Services;
use crate::model::command::FileMount;
use crate::model::failure::{Failure, FailureCode};
use crate::model::request::BuildRequest;
use crate::runner::Runner;
use crate::workspace::Workspace;

/// Refuses such a source where commands run on the machine itself, whose files they could read.
///
/// # Errors
/// `source_forbidden`.
pub(super) fn may_run(services: &Services, request: &BuildRequest) -> Result<(), Failure> {
    match services.runner {
        Runner::Host(_) if request.untrusted => {
            let message =
                "the source is untrusted, and commands run on the machine itself here, whose files they could read";
            Err(Failure::new(FailureCode::SourceForbidden, message).hint(
                "build it where `build.runner` is `container`, or not at all: an application's `rules.forks` says so",
            ))
        }
        _ => Ok(()),
    }
}

/// Proxies without their passwords.
pub(super) fn without_passwords(env: &mut Env) {
    for value in env.values_mut() {
        if let Ok(mut url) = url::Url::parse(value)
            && url.password().is_some()
            && url.set_password(None).and_then(|()| url.set_username("")).is_ok()
        {
            *value = url.to_string();
        }
    }
}

/// The operator's files at these targets, each as a copy of what names mirrors and proxies: whatever else it holds may be
/// a secret.
///
/// # Errors
/// `internal` where a copy cannot be made.
pub(super) fn without_secrets(
    files: &mut [FileMount],
    operators: &BTreeMap<String, String>,
    workspace: &Workspace,
) -> Result<(), Failure> {
    for (index, file) in files.iter_mut().enumerate() {
        if !operators.keys().any(|target| file.target == Path::new(target)) {
            continue;
        }
        let text = std::fs::read(&file.source).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let copy = workspace.files().join(format!("emptied-{index}"));
        std::fs::write(&copy, emptied(&text.unwrap_or_default()))
            .map_err(|error| Failure::new(FailureCode::Internal, format!("`{}`: {error}", copy.display())))?;
        file.source = copy;
    }
    Ok(())
}

/// Elements of Maven's settings whose text is no secret (its settings reference): what mirrors, repositories and proxies
/// are, and when they count.
const PLAIN: &[&str] = &[
    "active",
    "activeByDefault",
    "activeProfile",
    "blocked",
    "checksumPolicy",
    "enabled",
    "host",
    "id",
    "jdk",
    "layout",
    "mirrorOf",
    "mirrorOfLayouts",
    "name",
    "nonProxyHosts",
    "offline",
    "port",
    "protocol",
    "updatePolicy",
    "url",
];

/// An XML file with the text of these elements alone; nothing where it is no XML, since nobody can tell what it says.
fn emptied(text: &str) -> String {
    let mut left = text.trim_start_matches('\u{feff}').to_owned();
    let Some(mut ranges) = other_words(&left) else { return String::new() };
    ranges.sort_by_key(|range| std::cmp::Reverse(range.start));
    for range in ranges {
        left.replace_range(range, "");
    }
    // A text of several sections has the place of one: what is not plain still is somewhere else.
    if other_words(&left).is_some_and(|ranges| ranges.is_empty()) { left } else { String::new() }
}

/// Where an XML document says anything but what is plain, comments included; `None` where it is no XML.
fn other_words(text: &str) -> Option<Vec<Range<usize>>> {
    let document = roxmltree::Document::parse(text).ok()?;
    let account = |text: &str| {
        url::Url::parse(text.trim()).is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
    };
    let plain = |node: &Node<'_, '_>| {
        let named = node.parent().is_some_and(|parent| PLAIN.contains(&parent.tag_name().name()));
        let text = node.text().unwrap_or_default();
        node.is_text() && (text.trim().is_empty() || named && !account(text))
    };
    let says = |node: &Node<'_, '_>| node.is_text() || node.is_comment() || node.is_pi();
    Some(document.descendants().filter(|node| says(node) && !plain(node)).map(|node| node.range()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_lose_their_accounts_and_nothing_else() {
        let mut env: Env = [
            ("HTTPS_PROXY", "http://ada:hunter2@proxy.example.com:3128"),
            ("NO_PROXY", "localhost,10.0.0.0/8"),
            ("HTTP_PROXY", "http://proxy.example.com:3128"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        without_passwords(&mut env);
        assert_eq!(env["HTTPS_PROXY"], "http://proxy.example.com:3128/");
        assert_eq!(env["HTTP_PROXY"], "http://proxy.example.com:3128");
        assert_eq!(env["NO_PROXY"], "localhost,10.0.0.0/8");
    }

    #[test]
    fn settings_keep_their_mirrors_and_nothing_that_may_be_a_secret() {
        let parent = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(parent.path(), "b1", 0).unwrap();
        let text = "\u{feff}<settings><!-- hunter1 --><mirrors><mirror><url>https://nexus.example.com/</url></mirror>\
            <mirror><url>https://ada:hunter2@nexus.example.com/</url></mirror></mirrors>\n\
            <servers><server><id>a</id><password>hunt<!-- -->er3</password><privateKey><![CDATA[hunter4]]></privateKey>\
            </server></servers><profiles><profile><properties><token>hunter5</token></properties></profile></profiles>\
            </settings>";
        let seen = |bytes: &[u8], target: &str| {
            let source = parent.path().join("file");
            std::fs::write(&source, bytes).unwrap();
            let mut files = [FileMount { source, target: target.into() }];
            let operators = [("/slipway/settings.xml".to_owned(), "mirrors.maven_settings".to_owned())].into();
            without_secrets(&mut files, &operators, &workspace).unwrap();
            String::from_utf8_lossy(&std::fs::read(&files[0].source).unwrap()).into_owned()
        };
        let settings = seen(text.as_bytes(), "/slipway/settings.xml");
        assert!(
            settings.contains("<url>https://nexus.example.com/</url>") && settings.contains("<id>a</id>"),
            "{settings}"
        );
        assert!(!settings.contains("hunt") && !settings.contains("er3"), "{settings}");
        assert!(roxmltree::Document::parse(&settings).is_ok(), "{settings}");
        let sections =
            "<settings><servers><server><password>a<![CDATA[hunter]]>b</password></server></servers></settings>";
        assert!(!seen(sections.as_bytes(), "/slipway/settings.xml").contains("hunter"));
        // What cannot be read may say anything.
        assert_eq!(seen(b"<settings>hunter\xff</settings>", "/slipway/settings.xml"), "");
        assert_eq!(seen(b"password = hunter", "/slipway/settings.xml"), "");
        // Certificates are everybody's.
        assert_eq!(seen(b"-----BEGIN", "/slipway/ca/ca-certificates.crt"), "-----BEGIN");
    }
}
