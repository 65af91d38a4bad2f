//! The name service cache daemon (nscd).

use bubble_common::segment::network::Address;

/// Its socket in glibc (`nscd/nscd-client.h`), and where `/var/run` leads.
const SOCKETS: [&str; 2] = ["/var/run/nscd/socket", "/run/nscd/socket"];

/// Whether this is its socket. glibc tries it before each look-up of a user or a host, and goes on without
/// it. So a connect that fails is not reported.
pub fn is_name_cache(peer: &Address) -> bool {
    matches!(peer, Address::Path(path) if SOCKETS.contains(&path.as_str()))
}
