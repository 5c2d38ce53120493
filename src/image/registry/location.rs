//! Where a registry says that an upload or a download goes on: with it, or elsewhere, but nowhere inside.

use std::collections::BTreeSet;
use std::net::IpAddr;

use reqwest::Response;
use reqwest::header::{LINK, LOCATION};
use url::{Host, Url};

use super::refusal::Refusal;

/// A place that requests go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) url: Url,
    /// Whether it is the registry's own, which alone gets the token.
    pub(super) own: bool,
}

/// The place that an answer names, relative or absolute (OCI distribution specification, "Pushing blobs").
///
/// # Errors
/// What names none, gives TLS up, or leads from a registry outside to an address inside that is none of the operator's
/// hosts: a registry must not make Slipway speak to its neighbours. Of names, [`super::outside`] sees to that.
pub(super) fn of(response: &Response, asked: &Url, known: &BTreeSet<String>) -> Result<Location, Refusal> {
    let named = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let named = named.ok_or_else(|| Refusal::Own("the registry names no place to go on at".to_owned()))?;
    resolve(named, asked, known).map_err(Refusal::Own)
}

/// The next page of a list, where an answer names one of the same registry (RFC 8288: `<URL>; rel="next"`).
pub(super) fn next(response: &Response, asked: &Url) -> Option<Location> {
    let link = response.headers().get(LINK)?.to_str().ok()?;
    let next = link.split(',').find(|one| one.contains("rel=\"next\"") || one.contains("rel=next"))?;
    let named = next.split_once('<')?.1.split_once('>')?.0;
    resolve(named, asked, &BTreeSet::new()).ok().filter(|next| next.own && next.url != *asked)
}

fn resolve(named: &str, asked: &Url, known: &BTreeSet<String>) -> Result<Location, String> {
    let url =
        asked.join(named).map_err(|error| format!("the registry names a place to go on at that is none: {error}"))?;
    let url = secured(url, asked);
    if !matches!(url.scheme(), "http" | "https") || (asked.scheme() == "https" && url.scheme() != "https") {
        return Err("the registry names a place to go on at without TLS".to_owned());
    }
    let own = url.host() == asked.host() && url.port_or_known_default() == asked.port_or_known_default();
    let operators = url.host_str().is_some_and(|host| known.contains(host));
    if !own && !operators && is_inside(&url) && !is_inside(asked) {
        return Err("the registry names a place to go on at that is in the local network".to_owned());
    }
    Ok(Location { url, own })
}

/// The same place with TLS, where a registry that was asked with TLS names itself without: behind a proxy that does not
/// tell it (`X-Forwarded-Proto`), Harbor does so.
pub(in crate::image) fn secured(mut url: Url, asked: &Url) -> Url {
    let own_port = url.port().is_none() || url.port() == asked.port();
    if asked.scheme() == "https" && url.scheme() == "http" && url.host() == asked.host() && own_port {
        // Both are special schemes, between which a URL may change.
        let _ = url.set_scheme("https").and_then(|()| url.set_port(asked.port()));
    }
    url
}

/// Whether a host is by its looks this machine or one of a private network.
pub(super) fn is_inside(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_local(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_local(IpAddr::V6(address)),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => true,
    }
}

/// Whether an address is this machine's or one of a private network (RFC 1918, 3927, 4193, 4291 and 6598).
pub(super) fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let shared = first == 100 && second & 0xc0 == 64;
            first == 0 || shared || address.is_loopback() || address.is_private() || address.is_link_local()
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_relative_or_foreign_but_not_inside() {
        let asked = Url::parse("https://harbor.example.com/v2/a/blobs/uploads/").unwrap();
        let known = BTreeSet::from(["10.9.8.7".to_owned()]);
        let place = |named: &str| resolve(named, &asked, &known);
        let own = place("/v2/a/blobs/uploads/1?state=x").unwrap();
        assert_eq!((own.url.as_str(), own.own), ("https://harbor.example.com/v2/a/blobs/uploads/1?state=x", true));
        assert!(place("1").unwrap().own);
        assert!(place("https://harbor.example.com:443/x").unwrap().own);
        assert!(!place("https://storage.example.com/x").unwrap().own);
        assert!(!place("https://harbor.example.com:8443/x").unwrap().own);
        for refused in [
            "http://harbor.example.com:8080/x",
            "http://storage.example.com/x",
            "https://127.0.0.1/x",
            "https://10.1.2.3/",
            "https://[::1]/",
            "https://169.254.169.254/latest",
            "https://100.100.100.200/latest",
            "https://[::ffff:10.0.0.1]/",
            "https://localhost/",
            "ftp://x/",
            "https://",
        ] {
            assert!(place(refused).is_err(), "{refused}");
        }
        // The operator names it.
        assert!(!place("https://10.9.8.7/x").unwrap().own);
        // A proxy in front of Harbor that does not say that it speaks TLS.
        let own = place("http://harbor.example.com/v2/x?_state=y").unwrap();
        assert_eq!((own.url.as_str(), own.own), ("https://harbor.example.com/v2/x?_state=y", true));
        let port = Url::parse("https://harbor.example.com:8443/v2/").unwrap();
        for named in ["http://harbor.example.com/x", "http://harbor.example.com:8443/x"] {
            assert_eq!(resolve(named, &port, &known).unwrap().url.as_str(), "https://harbor.example.com:8443/x");
        }
        // A registry of the local network may name its neighbours.
        let inside = Url::parse("http://10.0.0.1:5000/v2/").unwrap();
        assert!(resolve("http://10.0.0.2/x", &inside, &known).is_ok());
    }
}
