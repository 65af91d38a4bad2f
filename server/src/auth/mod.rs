//! Access: API keys let agents post, tokens let people read.

mod hmac;
pub mod key;
pub mod password;
pub mod secret;
pub mod token;
