//! How the broker is reached.

use std::sync::Arc;

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, DefaultConnectionBuilder};

use super::{Error, PATIENCE, timed};
use crate::config::Config;
use crate::model::failure::{Failure, FailureCode};

/// Bytes of a frame (AMQP 0-9-1, section 2.3.5). The client keeps buffers of 32 frames for each connection and direction: with the
/// broker's 128 KiB an idle worker would hold 16 MiB for nothing.
const FRAME: u32 = 16 << 10;

/// Seconds between heartbeats: a dead peer is noticed after two of them.
const HEARTBEAT: u16 = 10;

/// The broker that the configuration names.
#[derive(Debug, Clone)]
pub struct Broker {
    config: Arc<Config>,
    uri: AMQPUri,
    host: String,
}

/// A connection; closed when it is dropped.
#[derive(Clone)]
pub struct Link {
    connection: Arc<Connection>,
}

impl Broker {
    /// The broker of a configuration.
    ///
    /// # Errors
    /// `configuration_invalid` where `amqp.url` is missing or malformed.
    pub fn new(config: Arc<Config>) -> Result<Self, Failure> {
        let invalid = |why: String| Failure::new(FailureCode::ConfigurationInvalid, why);
        let url = config.amqp.url.as_deref().ok_or_else(|| {
            invalid("there is no broker to work with: `amqp.url` is not set".to_owned())
                .hint("set `amqp.url` in the configuration: `amqps://rabbitmq.example.com/slipway`")
        })?;
        let mut uri: AMQPUri = url.parse().map_err(|why| invalid(format!("`amqp.url` cannot be used: {why}")))?;
        uri.query.heartbeat = Some(uri.query.heartbeat.unwrap_or(HEARTBEAT));
        uri.query.frame_max = Some(uri.query.frame_max.unwrap_or(FRAME));
        let host = format!("{}:{}", uri.authority.host, uri.authority.port);
        Ok(Self { config, uri, host })
    }

    /// The names of exchanges and queues.
    #[must_use]
    pub fn names(&self) -> super::names::Names {
        super::names::Names::new(&self.config.amqp.prefix)
    }

    /// Connects; the password is read anew, so that a changed one counts.
    ///
    /// # Errors
    /// When the broker cannot be reached, or a secret cannot be read.
    pub async fn connect(&self, purpose: &str) -> Result<Link, Error> {
        let mut uri = self.uri.clone();
        if let Some(name) = &self.config.amqp.credentials {
            let account = crate::secrets::account(&self.config, name, &self.host, "*").await?;
            uri.authority.userinfo.username = account.username;
            uri.authority.userinfo.password = account.password;
        }
        let name = format!("slipway {purpose} on {}", rustix::system::uname().nodename().to_string_lossy());
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let builder = DefaultConnectionBuilder::new().map_err(|error| Error::Broker("connect", error))?;
        let builder = builder.with_uri(uri).with_properties(properties).with_tls_config(self.tls().await?);
        let connected = timed("connect", builder.connect()).await;
        let connection = connected.map_err(|error| Error::At(self.host.clone(), Box::new(error)))?;
        Ok(Link { connection: Arc::new(connection) })
    }

    async fn tls(&self) -> Result<OwnedTLSConfig, Failure> {
        let cert_chain = match &self.config.network.ca_bundle {
            Some(path) => Some(tokio::fs::read_to_string(path).await.map_err(|error| {
                let message = format!("`network.ca_bundle` cannot be read from `{}`: {error}", path.display());
                Failure::new(FailureCode::ConfigurationInvalid, message)
            })?),
            None => None,
        };
        Ok(OwnedTLSConfig { identity: None, cert_chain })
    }
}

impl Link {
    /// Opens a channel.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn channel(&self) -> Result<Channel, Error> {
        timed("open a channel", self.connection.create_channel()).await
    }

    /// Whether the connection stands.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.connection.status().connected()
    }

    /// Whether two are the same connection.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.connection, &other.connection)
    }

    /// Closes the connection; a broker that does not answer is not waited for.
    pub async fn close(self) {
        let _ = tokio::time::timeout(PATIENCE, self.connection.close(200, "done".into())).await;
    }
}
