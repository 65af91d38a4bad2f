//! `token`: makes a token, signed with the secret of the server.

use anyhow::{Context, Result};
use bubble_common::segment::ContainerId;

use crate::auth::token::{Access, create};
use crate::clock;
use crate::config::cli::Token;
use crate::config::settings::SHORT_SECRET;

pub(super) fn run(settings: &Token) -> Result<()> {
    let (secret, made) = settings.common.secret()?;
    if let Some(path) = made {
        eprintln!("made a secret in {}", path.display());
    }
    if secret.is_short() {
        eprintln!("warning: {SHORT_SECRET}");
    }
    let access = match &settings.container {
        Some(id) => Access::Container(
            ContainerId::new(id).with_context(|| format!("{id:?} is not a container id"))?,
        ),
        None => Access::Admin,
    };
    let expires = clock::now() + settings.days * 86_400;
    println!("{}", create(&secret, &access, expires)?);
    Ok(())
}
