//! `token`: makes a token, signed with the secret of the server. `token list | revoke`.

use anyhow::{Context, Result, ensure};
use bubble_common::segment::ContainerId;

use super::store::open;
use crate::auth::token::{Access, check, create};
use crate::clock;
use crate::config::cli::{Token, TokenCommand};
use crate::config::settings::{Common, SHORT_SECRET};
use crate::store::token::IssuedToken;

/// Days for which a token is remembered as revoked, if nobody knows when it expires.
const MAX_DAYS: u64 = 36_500;

pub(super) async fn run(settings: &Token) -> Result<()> {
    match &settings.command {
        None => make(settings).await,
        Some(TokenCommand::List) => list(&settings.common).await,
        Some(TokenCommand::Revoke { token }) => revoke(&settings.common, token).await,
    }
}

async fn make(settings: &Token) -> Result<()> {
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
    let now = clock::now();
    let expires = now + settings.days * 86_400;
    let (token, id) = create(&secret, &access, expires)?;
    let issued = IssuedToken {
        id,
        container: settings.container.clone().unwrap_or_default(),
        created: now,
        expires,
        revoked: false,
        shared: None,
    };
    let noted =
        async { Ok::<_, anyhow::Error>(open(&settings.common).await?.put_token(issued).await?) };
    // It is valid without the store, which may be out of reach from here.
    if let Err(error) = noted.await {
        eprintln!("warning: `token list` will not show this token: {error:#}");
    }
    println!("{token}");
    Ok(())
}

async fn list(common: &Common) -> Result<()> {
    println!("id\tfor\tcreated\texpires\trevoked");
    for token in open(common).await?.tokens(clock::now()).await? {
        let access = match token.container.as_str() {
            _ if token.created == 0 => "unknown",
            "" => "everything",
            container => container,
        };
        let share = match &token.shared {
            Some(extent) => format!(" (share {extent})"),
            None => String::new(),
        };
        let revoked = if token.revoked { "yes" } else { "no" };
        println!(
            "{}\t{access}{share}\t{}\t{}\t{revoked}",
            token.id, token.created, token.expires
        );
    }
    Ok(())
}

/// Revokes a token by its id, or by itself.
async fn revoke(common: &Common, text: &str) -> Result<()> {
    let (id, expires) = if text.contains('.') {
        let (secret, _) = common.secret()?;
        let valid =
            check(&secret, text).context("this token is not valid, so it need not be revoked")?;
        (valid.id.clone(), valid.ends())
    } else {
        (text.to_owned(), clock::now() + MAX_DAYS * 86_400)
    };
    ensure!(
        !id.is_empty(),
        "`bubble-server token list` lists the ids of tokens"
    );
    let store = open(common).await?;
    let known = store.tokens(clock::now()).await?.into_iter();
    let known = known
        .filter(|token| token.id == id)
        .map(|token| token.expires);
    // One that is listed is forgotten when it expires.
    let expires = known.max().filter(|at| *at > 0).unwrap_or(expires);
    store.revoke_token(&id, expires).await?;
    eprintln!("revoked {id}: servers refuse it within 5 seconds, and end its streams");
    Ok(())
}
