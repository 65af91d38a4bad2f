//! Which containers the peers of a container are, at the same time.
//!
//! A connection has two ends. Where both are in containers that are stored, the row of one end is that of
//! the other with its addresses swapped. The index has the addresses of each container's sockets, so only
//! the rows of containers with the address of a peer are read, and of a bounded number of them. A
//! connection through a proxy, a published port or the address of a Kubernetes service has other addresses
//! at its other end, so it is not found.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use bubble_common::segment::network::{Address, Connection, Protocol, Role};
use bubble_common::segment::{ContainerId, facts};
use serde::Serialize;

use super::error::QueryError;
use super::io::service_port;
use super::ledger::{Ledger, Scope};
use super::{Ask, Query};
use crate::clock;
use crate::store::container::Container;
use crate::store::index::ContainerFilter;

/// Containers that are read at most: each costs as much as a table of the range.
const MAX_READ: usize = 32;
/// Connections that are looked for at most.
const MAX_CONNECTIONS: usize = 50_000;

/// Peers of a container that are containers, too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Neighbours {
    /// A peer and a container that it is. A peer may be several containers one after the other.
    pub peers: Vec<Neighbour>,
    /// Containers with an address of a peer that were read.
    pub read: u64,
    /// Containers with an address of a peer that were not read, because there are too many: the peers may
    /// be these.
    pub unread: u64,
    /// Connections that were not looked for, because there are too many.
    pub skipped_connections: u64,
}

/// A peer that is a container.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Neighbour {
    /// `tcp`, `udp`, `raw`, `other`.
    pub protocol: &'static str,
    /// Side of the container that was asked about: `client`, `server`, `unknown`.
    pub role: &'static str,
    /// IP address of the peer.
    pub remote: String,
    /// Port of the service; null if the protocol has no ports.
    pub port: Option<u16>,
    /// Id of the container that it is.
    pub container: String,
    /// Its name; empty if unknown.
    pub name: String,
    /// Its host; empty if unknown.
    pub host: String,
    /// Connections between the two that both counted. 0: it was the only container of the same host
    /// with this address.
    pub connections: u64,
}

/// All connections with a peer: protocol, role, remote address, port of the service.
type Peer = (Protocol, Role, IpAddr, Option<u16>);
/// A connection as its other end has it: protocol, local and peer address.
type OtherEnd = (Protocol, Address, Address);

/// What is looked for.
#[derive(Debug, Default)]
struct Wanted {
    ends: BTreeMap<OtherEnd, Peer>,
    peers: BTreeSet<Peer>,
    /// Addresses of the container itself.
    own: BTreeSet<IpAddr>,
    skipped: u64,
}

/// What a container has of it.
#[derive(Debug, Default)]
struct Found {
    /// Connections with both ends, by peer.
    connections: BTreeMap<Peer, u64>,
    /// Its addresses.
    addresses: BTreeSet<IpAddr>,
}

impl Query {
    /// Which of the containers that `may_read` accepts the peers of a container are.
    ///
    /// # Errors
    /// When there is no such container, or the store fails.
    pub async fn neighbours(
        &self,
        id: &ContainerId,
        ask: &Ask,
        may_read: impl Fn(&Container) -> bool,
    ) -> Result<Neighbours, QueryError> {
        let own = self.container(id).await?;
        let plan = self.plan(&own, ask);
        let span = plan.span.clone();
        let wanted = self.answer(id, plan, |plan, segments| {
            Wanted::new(&Ledger::new(plan, segments, &Scope::default()))
        });
        let wanted = Arc::new(wanted.await?);
        let all = ContainerFilter {
            now: clock::now(),
            limit: i64::MAX as usize,
            ..ContainerFilter::default()
        };
        let page = self.store.containers(&all).await?;
        let candidates = candidates_of(&own, &wanted, &span, page.containers.into_iter());
        let (mut candidates, hidden): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|each| may_read(each));
        let unread = candidates.len().saturating_sub(MAX_READ) as u64;
        // One of those that may not be read may be the peer.
        let are_all = unread == 0 && !hidden.iter().any(|each| is_same_host(&own, each));
        candidates.truncate(MAX_READ);
        let mut found = Vec::new();
        for candidate in candidates {
            let (plan, wanted) = (self.plan(&candidate, ask), Arc::clone(&wanted));
            let has = self.answer(&candidate.id, plan, move |plan, segments| {
                Found::new(&Ledger::new(plan, segments, &Scope::default()), &wanted)
            });
            found.push((has.await?, candidate));
        }
        Ok(Neighbours {
            peers: matches(&own, &wanted, &found, are_all),
            read: found.len() as u64,
            unread,
            skipped_connections: wanted.skipped,
        })
    }
}

impl Wanted {
    fn new(ledger: &Ledger<'_>) -> Self {
        let mut wanted = Self::default();
        for row in &ledger.connections {
            let connection = row.entry;
            if let Address::Ip(ip, _) = connection.local {
                wanted.own.insert(ip);
            }
            let Some(peer) = peer(connection) else {
                continue;
            };
            wanted.peers.insert(peer);
            if wanted.ends.len() >= MAX_CONNECTIONS {
                wanted.skipped += 1;
                continue;
            }
            let (local, peer_end) = (connection.local.clone(), connection.peer.clone());
            wanted
                .ends
                .insert((connection.protocol, peer_end, local), peer);
        }
        wanted
    }
}

impl Found {
    fn new(ledger: &Ledger<'_>, wanted: &Wanted) -> Self {
        let mut found = Self::default();
        for row in &ledger.connections {
            let Connection {
                protocol,
                local,
                peer,
                ..
            } = row.entry;
            if let Address::Ip(ip, _) = local {
                found.addresses.insert(*ip);
            }
            let end = (*protocol, local.clone(), peer.clone());
            if let Some(peer) = wanted.ends.get(&end) {
                *found.connections.entry(*peer).or_default() += 1;
            }
        }
        found
    }
}

fn peer(connection: &Connection) -> Option<Peer> {
    let Address::Ip(ip, _) = connection.peer else {
        return None;
    };
    let port = service_port(connection);
    Some((connection.protocol, connection.role, ip, port))
}

fn host(container: &Container) -> Option<&str> {
    let host = container.facts.get(facts::HOST).map(String::as_str);
    host.filter(|host| !host.is_empty())
}

fn is_same_host(a: &Container, b: &Container) -> bool {
    host(a).is_some() && host(a) == host(b)
}

/// Containers that had the address of a peer and ran within `span`. Those of the same host come first, then
/// those seen last.
fn candidates_of(
    own: &Container,
    wanted: &Wanted,
    span: &Range<u64>,
    all: impl Iterator<Item = Container>,
) -> Vec<Container> {
    let remotes: BTreeSet<(String, bool)> = wanted
        .peers
        .iter()
        .map(|(_, _, ip, _)| (ip.to_string(), ip.is_loopback()))
        .collect();
    let has = |container: &Container, is_near: bool| {
        container.addresses().any(|address| {
            // The loopback of another host is another one.
            remotes.contains(&(address.to_owned(), false))
                || (is_near && remotes.contains(&(address.to_owned(), true)))
        })
    };
    let mut found: Vec<(bool, Container)> = all
        .filter(|each| each.id != own.id)
        .filter(|each| each.first_seen < span.end && each.last_seen > span.start)
        .map(|each| (is_same_host(own, &each), each))
        .filter(|(is_near, each)| has(each, *is_near))
        .collect();
    found.sort_by_key(|(is_near, each)| (!is_near, std::cmp::Reverse(each.last_seen)));
    found.into_iter().map(|(_, container)| container).collect()
}

/// The containers of each peer. Those with connections that both counted; if there are none, the
/// only container of the same host with its address, if all were read.
fn matches(
    own: &Container,
    wanted: &Wanted,
    found: &[(Found, Container)],
    are_all: bool,
) -> Vec<Neighbour> {
    let mut neighbours = Vec::new();
    for peer in &wanted.peers {
        let ip = peer.2;
        let count = |found: &Found| found.connections.get(peer).copied().unwrap_or(0);
        let exact: Vec<_> = found.iter().filter(|(has, _)| count(has) > 0).collect();
        let near = |(_, container): &&&(Found, Container)| is_same_host(own, container);
        // Networks of containers have the same addresses on each host, and so has the loopback.
        let here: Vec<_> = exact.iter().filter(near).copied().collect();
        let exact = match here.is_empty() && !ip.is_loopback() {
            true => exact,
            false => here,
        };
        for (has, container) in &exact {
            neighbours.push(Neighbour::new(*peer, container, count(has)));
        }
        // Loopback and the address of a host belong to several.
        if !exact.is_empty() || !are_all || ip.is_loopback() || wanted.own.contains(&ip) {
            continue;
        }
        let mut owners = found
            .iter()
            .filter(|(has, container)| has.addresses.contains(&ip) && is_same_host(own, container));
        if let (Some((_, container)), None) = (owners.next(), owners.next()) {
            neighbours.push(Neighbour::new(*peer, container, 0));
        }
    }
    neighbours
}

impl Neighbour {
    fn new(peer: Peer, container: &Container, connections: u64) -> Self {
        let (protocol, role, ip, port) = peer;
        let fact = |name: &str| container.facts.get(name).cloned().unwrap_or_default();
        Self {
            protocol: protocol.name(),
            role: role.name(),
            remote: ip.to_string(),
            port,
            container: container.id.as_str().to_owned(),
            name: fact(facts::NAME),
            host: fact(facts::HOST),
            connections,
        }
    }
}
