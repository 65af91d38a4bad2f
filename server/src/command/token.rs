//! `token`: makes a token, with the secret of the server.

use anyhow::{Context, Result};

use crate::auth::token::{Access, create};
use crate::clock;
use crate::config::Base;
use crate::config::flags::Token;
use crate::ingest::short_id;

pub(super) fn run(flags: &Token) -> Result<()> {
    let (secret, made) = Base::new(&flags.common)?.secret()?;
    if let Some(path) = made {
        eprintln!("made a secret in {}", path.display());
    }
    let access = match &flags.container {
        Some(id) => Access::Container(
            short_id(id).with_context(|| format!("{id:?} is not a container id"))?,
        ),
        None => Access::Admin,
    };
    let expires = clock::now() + flags.days * 86_400;
    println!("{}", create(&secret, &access, expires)?);
    Ok(())
}
