//! The gate: what a scanner may find in an image that is used or built on.

use super::{ArtifactName, Client};
use crate::config::ScanConfig;
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::image_reference::ImageReference;
use crate::model::scan::{ReportedScan, Rules, ScanState, Vulnerability};

/// How many vulnerabilities a failure names; the report has them all.
const NAMED: usize = 10;

/// The operator's rules for a product line.
#[derive(Debug, Clone, Copy)]
pub struct Gate<'a> {
    /// What the operator wants.
    pub wanted: &'a ScanConfig,
    /// Whose image it is.
    pub product_line: &'a str,
}

impl Gate<'_> {
    /// What the scanner says of an image; without a digest, of what its tag names now. A scan that nobody has started is
    /// started, and its end awaited.
    ///
    /// # Errors
    /// As [`Client::scanned`].
    pub async fn scanned(&self, client: &Client, image: &ImageReference) -> Result<ReportedScan, Failure> {
        let Some((project, name)) = image.repository().split_once('/') else {
            return Ok(ReportedScan::without(ScanState::NotScanned, "it is in no project"));
        };
        let digest = image.digest().map(ToString::to_string);
        let tag = image.tag().map_or("latest", |tag| tag.as_str());
        let reference = digest.as_deref().unwrap_or(tag);
        let today = crate::clock::now();
        let rules = Rules {
            limit: self.wanted.refuse,
            exceptions: &self.wanted.accept,
            product_line: self.product_line,
            today: today.get(..10).unwrap_or_default(),
        };
        client.scanned(ArtifactName { project, name, reference }, self.wanted.wait, rules).await
    }

    /// What a scan means: nothing, a warning, or a failure.
    ///
    /// # Errors
    /// `image_vulnerable`; `image_not_scanned` where a severity is refused and nobody looked.
    pub fn judged(&self, scan: &ReportedScan, image: &str) -> Result<Option<Warning>, Failure> {
        if scan.state != ScanState::Scanned {
            let why = scan.why.as_deref().unwrap_or("nobody looked at it");
            let message = format!("Nothing is known of vulnerabilities in `{image}`: {why}.");
            if self.wanted.refuse.is_some() {
                return Err(Failure::new(FailureCode::ImageNotScanned, message));
            }
            let hint = "See that Harbor has a scanner, and that the account may use it (`scan:create`, `artifact-addition:read`).";
            return Ok(Some(Warning::new("image_not_scanned", message, hint)));
        }
        if scan.refused.is_empty() {
            return Ok(None);
        }
        let named: Vec<String> = scan.refused.iter().take(NAMED).map(sentence).collect();
        let more = scan.refused.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let message = format!("`{image}` has vulnerabilities that are not accepted: {}{more}.", named.join(", "));
        Err(Failure::new(FailureCode::ImageVulnerable, message))
    }
}

fn sentence(found: &Vulnerability) -> String {
    let fixed =
        if found.fixed_in.is_empty() { "not fixed yet".to_owned() } else { format!("fixed in {}", found.fixed_in) };
    format!("`{}` ({}, {} {}, {fixed})", found.id, found.severity.name(), found.package, found.version)
}
