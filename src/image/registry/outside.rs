//! Names that a registry sends to: one outside must not have Slipway speak to a neighbour by giving it a name.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use super::location::{is_inside, is_local};
use crate::environment;

/// Asks for the addresses of a name.
type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Where the environment names proxies, which have to be reached wherever they are.
const PROXIES: [&str; 6] = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];

/// Gives the addresses of names, but none of the local network, unless the registry is of it too, or the operator names the
/// host.
#[derive(Clone)]
pub(super) struct Outside {
    registry: Url,
    known: BTreeSet<String>,
    lookup: Lookup,
}

/// A name has no address but those of the local network.
#[derive(Debug)]
pub(super) struct Inside(String);

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.0;
        write!(
            f,
            "the registry names a place to go on at, `{name}`, that is in the local network; if it is the operator's, "
        )?;
        write!(f, "name it in the configuration, such as in `hosts` of the registry's credentials")
    }
}

impl std::error::Error for Inside {}

impl Outside {
    /// For the registry at this address.
    pub(super) fn new(registry: &Url, known: &BTreeSet<String>) -> Self {
        let proxies = PROXIES.iter().filter_map(|name| environment::variable(name));
        let proxies = proxies.filter_map(|text| Url::parse(&text).ok()?.host_str().map(str::to_owned));
        Self {
            registry: registry.clone(),
            known: known.iter().cloned().chain(proxies).collect(),
            lookup: Arc::new(|name| {
                async move {
                    let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
                    Ok(found.map(|address| address.ip()).collect())
                }
                .boxed()
            }),
        }
    }

    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let mut found = (self.lookup)(name.to_owned()).await?;
        if self.known.contains(name) || !found.iter().copied().any(is_local) || self.registry_is_inside().await {
            return Ok(found);
        }
        found.retain(|address| !is_local(*address));
        if found.is_empty() { Err(Box::new(Inside(name.to_owned()))) } else { Ok(found) }
    }

    /// A registry of the local network may name its neighbours.
    async fn registry_is_inside(&self) -> bool {
        let Some(url::Host::Domain(name)) = self.registry.host() else { return is_inside(&self.registry) };
        let found = (self.lookup)(name.to_owned()).await;
        found.is_ok_and(|found| found.iter().copied().any(is_local))
    }
}

impl Resolve for Outside {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let found = this.addresses(name.as_str()).await?;
            let all: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(all)
        })
    }
}

/// Whether a request ended since a name is one of the local network.
pub(super) fn refused<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Inside> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::registry::refusal::{Refusal, lost};

    /// Names as they resolve for a registry at this address.
    fn names(registry: &str, known: &[&str]) -> Outside {
        let table = |name: &str| match name {
            "registry.example.com" | "storage.example.com" => "203.0.113.7",
            "inside.example.com" => "10.1.2.3",
            "metadata.example.com" => "169.254.169.254",
            "both.example.com" => "203.0.113.8 fd00::1",
            _ => "127.0.0.1",
        };
        Outside {
            registry: Url::parse(registry).unwrap(),
            known: known.iter().map(|name| (*name).to_owned()).collect(),
            lookup: Arc::new(move |name| {
                let found = table(&name).split(' ').map(|one| one.parse().unwrap()).collect();
                async move { Ok(found) }.boxed()
            }),
        }
    }

    #[tokio::test]
    async fn a_registry_outside_names_nobody_inside() {
        let outside = names("https://registry.example.com/v2/", &["mirror.example.com"]);
        for refused in ["inside.example.com", "metadata.example.com", "anything.example.com"] {
            let error = outside.addresses(refused).await.unwrap_err();
            assert!(error.to_string().contains("local network") && error.to_string().contains(refused), "{error}");
        }
        // Of several addresses those outside do, and the operator's own hosts are where they are.
        assert_eq!(outside.addresses("both.example.com").await.unwrap().len(), 1);
        assert_eq!(outside.addresses("storage.example.com").await.unwrap().len(), 1);
        assert_eq!(outside.addresses("mirror.example.com").await.unwrap().len(), 1);
        for inside in ["https://inside.example.com/v2/", "http://10.0.0.1:5000/v2/", "http://localhost:5000/v2/"] {
            assert!(names(inside, &[]).addresses("metadata.example.com").await.is_ok(), "{inside}");
        }
    }

    #[tokio::test]
    async fn no_connection_is_made_to_a_name_inside() {
        crate::http::install_tls();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let outside = names("https://registry.example.com/v2/", &[]);
        let http = reqwest::Client::builder().no_proxy().dns_resolver(Arc::new(outside)).build().unwrap();
        let error = http.get(format!("http://anything.example.com:{port}/x")).send().await.unwrap_err();
        let refusal = lost(&error);
        assert!(matches!(&refusal, Refusal::Own(words) if words.contains("`anything.example.com`")), "{refusal}");
        assert!(listener.accept().now_or_never().is_none());
    }
}
