//! Who may do what: API keys post, tokens read.

pub mod key;
pub mod password;
pub mod secret;
pub mod token;
