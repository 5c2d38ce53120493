//! Accounts at the broker with the rights that the operating guide lists, and no more.

use std::path::Path;

use super::fleet::Fleet;
use crate::services::{rabbitmqctl, service};

const PASSWORD: &str = "of-this-test";

/// An account of a test's own; it goes with the test.
pub(crate) struct Account {
    pub(crate) name: String,
}

impl Account {
    /// With these rights: to configure, to write, to read.
    pub(crate) fn new(rights: [&str; 3]) -> Self {
        let account = Self { name: format!("test-{}", uuid::Uuid::now_v7().simple()) };
        rabbitmqctl(&["add_user", &account.name, PASSWORD]);
        account.may(rights);
        account
    }

    /// With the rights of a line of the guide, for the names of a fleet.
    pub(crate) fn documented(who: &str, fleet: &Fleet) -> Self {
        let rights = documented(who).map(|right| right.replace("slipway", &fleet.prefix));
        Self::new([&rights[0], &rights[1], &rights[2]])
    }

    /// With other rights.
    pub(crate) fn may(&self, [configure, write, read]: [&str; 3]) {
        rabbitmqctl(&["set_permissions", &self.name, configure, write, read]);
    }

    /// As credentials for the broker at an address.
    pub(crate) fn credentials(&self, fleet: &Fleet, host: &str) -> String {
        let place = fleet.state().join("account").display().to_string();
        std::fs::write(&place, PASSWORD).unwrap();
        format!("{{ username = {:?}, password = {{ file = {place:?} }}, hosts = [{host:?}] }}", self.name)
    }

    /// The broker's URL with this account.
    pub(crate) fn url(&self) -> String {
        let mut url = url::Url::parse(service("SLIPWAY_TEST_AMQP")).unwrap();
        url.set_username(&self.name).unwrap();
        url.set_password(Some(PASSWORD)).unwrap();
        url.to_string()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        rabbitmqctl(&["delete_user", &self.name]);
    }
}

/// The three expressions of a line of the table of accounts.
fn documented(who: &str) -> [String; 3] {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let line = guide.lines().find(|line| line.starts_with(&format!("| {who} |")));
    let line = line.unwrap_or_else(|| panic!("the guide has no account `{who}`")).replace("\\|", "\u{0}");
    let cells: Vec<_> = line.split('|').map(|cell| cell.trim().trim_matches('`').replace('\u{0}', "|")).collect();
    [cells[2].clone(), cells[3].clone(), cells[4].clone()]
}
