//! Networks as operators write them: `10.0.0.0/8`, or one address.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Addresses that begin alike (RFC 4632).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Network {
    address: IpAddr,
    /// How many of the first bits count.
    bits: u8,
}

impl Network {
    /// Whether an address belongs to it; an IPv4 address that came by an IPv6 socket is itself.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differs = own.to_bits() ^ other.to_bits();
                differs.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differs = own.to_bits() ^ other.to_bits();
                differs.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither an address nor a network such as `10.0.0.0/8`");
        let (address, bits) = text.split_once('/').map_or((text.as_str(), None), |(one, bits)| (one, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse::<u8>).ok().filter(|bits| *bits <= most).ok_or_else(wrong)?;
        Ok(Self { address, bits })
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        format!("{}/{}", network.address, network.bits)
    }
}

/// Whether a text names what can be closed to builds: `host:port`, or a network with its bits.
pub(super) fn is_place(text: &str) -> bool {
    if text.contains('/') {
        return Network::try_from(text.to_owned()).is_ok();
    }
    let named = text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    named && text.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_belong_to_their_networks() {
        for (network, address, belongs) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "192.0.2.8", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
        ] {
            let of: Network = network.to_owned().try_into().unwrap();
            assert_eq!(of.contains(address.parse().unwrap()), belongs, "{address} in {network}");
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "proxy.example.com", "::/129", "10.0.0.0/-1"] {
            assert!(Network::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
    #[test]
    fn what_is_closed_is_a_port_of_a_host_or_a_network() {
        for place in ["10.1.2.3:5432", "db.example.com:5432", "[2001:db8::1]:5432", "10.20.0.0/16", "2001:db8::/33"] {
            assert!(is_place(place), "{place}");
        }
        for bogus in
            ["", "bogus", "10.1.2.3", "2001:db8::1", ":5432", "db.example.com:", "db:99999", "10.0.0.0/33", "a/8"]
        {
            assert!(!is_place(bogus), "{bogus}");
        }
    }
}
