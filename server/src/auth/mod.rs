//! Access: API keys let agents post, tokens let people read.

pub mod attempts;
mod hmac;
pub mod key;
pub mod link;
pub mod password;
pub mod revoked;
pub mod secret;
pub mod token;
