//! The file of settings. A name that is not known is refused: a mistyped setting is not a setting.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::duration::Period;
use super::place::Place;
use crate::auth::password::Password;
use crate::rollup::By;
use crate::store::cassandra::Consistency;
use crate::store::sqlite::Durability;

/// Settings in a file; each is named as its flag, with `_` for `-`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) data: Option<PathBuf>,
    pub(super) store: Option<Place>,
    pub(super) consistency: Option<Consistency>,
    pub(super) secret: Option<String>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) retention_seconds: Option<Period>,
    pub(super) retention_minutes: Option<Period>,
    pub(super) retention_hours: Option<Period>,
    pub(super) rollup: Option<By>,
    pub(super) rabbitmq_host: Option<String>,
    pub(super) rabbitmq_port: Option<u16>,
    pub(super) rabbitmq_vhost: Option<String>,
    pub(super) rabbitmq_user: Option<String>,
    pub(super) rabbitmq_password: Option<Password>,
    pub(super) rabbitmq_queue: Option<String>,
    pub(super) consul: Option<String>,
    pub(super) consul_service: Option<String>,
    pub(super) consul_address: Option<String>,
    pub(super) consul_token: Option<Password>,
    pub(super) durability: Option<Durability>,
    pub(super) max_body: Option<usize>,
    pub(super) max_posts: Option<usize>,
    pub(super) max_reads: Option<usize>,
    pub(super) auth_disable: Option<bool>,
    pub(super) log: Option<String>,
    pub(super) log_json: Option<bool>,
}

impl File {
    /// What is in the file at `path`; nothing without one.
    pub(super) fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the settings in {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} has a mistake", path.display()))
    }
}
