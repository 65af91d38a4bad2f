//! The page, embedded from `ui/dist` when the server is built.

use rust_embed::Embed;

/// The files of the page. Without any the server was built without its page.
#[derive(Embed)]
#[folder = "ui/dist"]
#[allow_missing = true]
pub(crate) struct Dist;

/// What the page says if it is missing.
pub(crate) const NOT_BUILT: &str = "this server was built without its page: `cargo xtask ui` builds \
                                    it; then build the server again";
