//! Servers that sources start at a whole address: its port, and whether nobody but the program's own host reaches it.

use super::facts;
use super::source;
use crate::model::failure::Warning;
use crate::model::origin::{Found, Origin};

/// How far behind a call its address may stand.
const NEAR: usize = 200;
const LOOPBACK: [&str; 2] = ["localhost", "127.0.0.1"];

/// What sources say of addresses.
#[derive(Debug, Default)]
pub(super) struct Addressed {
    /// The only port of the addresses that servers are given as a URI.
    pub(super) port: Option<Found<u16>>,
    /// Where a server listens on its own host alone, which no variable changes.
    pub(super) warning: Option<Warning>,
}

/// Reads the texts of a module by `[facts.listening]`: `uri_servers` take a URI (Jersey's "Deploying", "JAX-RS application on
/// Java SE"), of which `uri_hosts` take the host, too; `address_calls` take a host behind or before the port.
pub(super) fn of(texts: &[(&String, &str)], row: &toml::Value) -> Addressed {
    let (servers, hosts) = (facts::texts(row, "uri_servers"), facts::texts(row, "uri_hosts"));
    let (mut ports, mut warning) = (Vec::<Found<u16>>::new(), None);
    for (path, text) in texts {
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&servers) {
            for (host, port, line) in uris(text) {
                let origin = || Origin::file(*path, Some(line), format!("an address of {host}"));
                ports.extend(port.map(|port| Found::new(port, origin())));
                if has(&hosts) && LOOPBACK.contains(&host) {
                    warning.get_or_insert_with(|| unreachable(path, line, host));
                }
            }
        }
        let calls = facts::texts(row, "address_calls");
        let mut given = calls.iter().flat_map(|call| source::calls(text, call));
        if warning.is_none() {
            warning = given.find_map(|given| {
                let at = text.len() - given.len();
                let statement = &given[..given.floor_char_boundary(given.find(';').unwrap_or(NEAR).min(NEAR))];
                let host = LOOPBACK.iter().find(|host| statement.contains(&format!("\"{host}\"")))?;
                (!is_comment(line_before(text, at))).then(|| unreachable(path, line_of(text, at), host))
            });
        }
    }
    let same = ports.first().filter(|first| ports.iter().all(|port| port.value == first.value)).cloned();
    Addressed { port: same, warning }
}

/// Literal addresses of this machine, `"http://localhost:8080/…"`: the host, the port where one stands, and the line.
fn uris(text: &str) -> impl Iterator<Item = (&str, Option<u16>, u32)> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !is_comment(line));
    let found = lines.flat_map(|(number, line)| line.split("\"http://").skip(1).map(move |rest| (number, rest)));
    found.filter_map(|(number, rest)| {
        let authority = rest[..rest.find(['/', '"'])?].trim();
        let (host, port) =
            authority.split_once(':').map_or((authority, None), |(host, port)| (host, port.parse().ok()));
        (LOOPBACK.contains(&host) || host == "0.0.0.0").then_some((host, port, number))
    })
}

fn is_comment(line: &str) -> bool {
    ["//", "*", "/*"].iter().any(|begin| line.trim_start().starts_with(begin))
}

/// What stands before a place on its line, as far as a line of people's goes.
fn line_before(text: &str, at: usize) -> &str {
    let from = text.floor_char_boundary(at.saturating_sub(NEAR));
    text[from..at].rsplit('\n').next().unwrap_or_default()
}

fn line_of(text: &str, at: usize) -> u32 {
    u32::try_from(text[..at].matches('\n').count() + 1).unwrap_or(u32::MAX)
}

fn unreachable(path: &str, line: u32, host: &str) -> Warning {
    let message = format!("a server listens on `{host}`, which nobody reaches from outside of its container");
    let hint = "let it listen on `0.0.0.0`, or take the address from its environment";
    Warning::new("listens_on_loopback", message, hint).at(path, Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> (Option<u16>, Option<u32>) {
        let facts: toml::Table = toml::from_str(include_str!("../../../../toolchains/maven/facts.toml")).unwrap();
        let path = "A.java".to_owned();
        let found = of(&[(&path, text)], &facts["listening"]);
        (found.port.map(|port| port.value), found.warning.and_then(|warning| warning.line))
    }

    #[test]
    fn addresses_name_ports_and_hosts() {
        let grizzly = "class A {\n static final String URI = \"http://localhost:8081/api/\";\n void a() { GrizzlyHttpServerFactory.createHttpServer(URI.create(URI), config); }\n}";
        assert_eq!(found(grizzly), (Some(8081), Some(2)));
        assert_eq!(found(&grizzly.replace("localhost", "0.0.0.0")), (Some(8081), None));
        // It takes the port alone.
        assert_eq!(found(&grizzly.replace("Grizzly", "Jdk")), (Some(8081), None));
        assert_eq!(found("Client.target(\"http://localhost:8081/\")"), (None, None));
        assert_eq!(found("// \"http://localhost:8081/\"\nGrizzlyHttpServerFactory"), (None, None));
    }

    #[test]
    fn calls_with_the_own_host_are_named() {
        assert_eq!(found("Undertow.builder()\n .addHttpListener(8080, \"localhost\").build();"), (None, Some(2)));
        assert_eq!(found("HttpServer.create(new InetSocketAddress(\"127.0.0.1\", 80), 0);"), (None, Some(1)));
        assert_eq!(found("builder.addHttpListener(8080, \"0.0.0.0\"); String db = \"localhost\";"), (None, None));
        assert_eq!(found("// addHttpListener(8080, \"localhost\");\né.listen(éé"), (None, None));
    }
}
