//! Peers that are containers are known by both ends of a connection, at the same time.

use std::net::IpAddr;

use bubble_common::segment::builder::Builder;
use bubble_common::segment::network::{Address, Connection, NetworkIo, Protocol, Role};
use bubble_common::segment::process::{Process, ProcessId};
use bubble_common::segment::{Coverage, Key, Resolution, Segment, SourceId, facts};
use bubble_server::auth::token::Access;
use bubble_server::clock;
use serde_json::{Value, json};

use crate::common::{Server, id, token};

const WEB: &str = "aaaaaaaaaaaa";
const DATABASE: &str = "bbbbbbbbbbbb";
const FORMER: &str = "cccccccccccc";
const CACHE: &str = "dddddddddddd";
const IDLE: &str = "eeeeeeeeeeee";
const FOREIGN: &str = "ffffffffffff";

/// A second of a container on a host, with connections: role, local and peer address.
fn second(container: &str, host: &str, at: u64, ends: &[(Role, &str, &str)]) -> Segment {
    let source = SourceId([container.as_bytes()[0]; 16]);
    let key = Key {
        container: id(container),
        resolution: Resolution::Second,
        start: at,
        source,
    };
    let mut builder = Builder::new(key, 1);
    builder.cover(0, Coverage::SECOND);
    let process = ProcessId {
        pid: 7,
        start: 1,
        exec: 1,
    };
    let process = builder.process(Process::new(process, "app"));
    for (role, local, peer) in ends {
        let connection = builder.connection(Connection {
            protocol: Protocol::Tcp,
            role: *role,
            local: address(local),
            peer: address(peer),
        });
        let io = NetworkIo {
            bytes_in: 1,
            ops_in: 1,
            ..NetworkIo::default()
        };
        builder.network_io(process, connection, 0, io);
    }
    builder.fact(facts::HOST, host);
    builder.fact(facts::NAME, format!("{container}-name"));
    builder.build()
}

fn address(text: &str) -> Address {
    let (ip, port) = text.rsplit_once(':').expect("a port");
    let ip: IpAddr = ip.parse().expect("an address");
    Address::Ip(ip, port.parse().expect("a port"))
}

/// A web server that talks to a database on its host, a cache on another, a container that refuses, an
/// address that is not in a container, and itself.
async fn shop() -> (Server, u64) {
    let server = Server::start().await;
    let start = clock::now() / 60 * 60 - 300;
    let web = [
        (Role::Client, "10.0.0.2:40000", "10.0.0.3:5432"),
        (Role::Client, "10.0.0.2:40001", "10.0.0.3:5432"),
        (Role::Client, "10.0.0.2:40002", "10.8.0.9:6379"),
        (Role::Client, "10.0.0.2:40003", "10.0.0.4:80"),
        (Role::Client, "10.0.0.2:40004", "172.17.0.2:80"),
        (Role::Client, "127.0.0.1:40005", "127.0.0.1:9000"),
    ];
    let database = [
        (Role::Server, "10.0.0.3:5432", "10.0.0.2:40000"),
        (Role::Server, "10.0.0.3:5432", "10.0.0.2:40001"),
        (Role::Client, "10.0.0.3:50000", "1.2.3.4:443"),
    ];
    let segments = vec![
        second(WEB, "node1", start + 60, &web),
        second(DATABASE, "node1", start + 60, &database),
        // It had the address of the database before.
        second(
            FORMER,
            "node1",
            start,
            &[(Role::Server, "10.0.0.3:5432", "10.0.0.2:40000")],
        ),
        second(
            CACHE,
            "node2",
            start + 60,
            &[(Role::Server, "10.8.0.9:6379", "10.0.0.2:40002")],
        ),
        second(
            IDLE,
            "node1",
            start + 60,
            &[(Role::Client, "10.0.0.4:41000", "1.2.3.4:443")],
        ),
        // The same network on another host; and the loopback of another host.
        second(
            FOREIGN,
            "node2",
            start + 60,
            &[
                (Role::Server, "172.17.0.2:80", "172.17.0.3:40004"),
                (Role::Server, "127.0.0.1:9000", "127.0.0.1:40005"),
            ],
        ),
    ];
    server.post(segments).await;
    (server, start)
}

fn path(of: &str, from: u64) -> String {
    let to = from + 60;
    format!("/api/v1/containers/{of}/neighbours?from={from}&to={to}")
}

/// Remote address, port, container and connections.
fn found(answer: &Value) -> Vec<Value> {
    let peers = answer["peers"].as_array().expect("peers").iter();
    peers
        .map(|peer| {
            json!([
                peer["remote"],
                peer["port"],
                peer["container"],
                peer["connections"]
            ])
        })
        .collect()
}

#[tokio::test]
async fn peers_are_the_containers_that_have_the_other_end_at_that_time() {
    let (server, start) = shop().await;
    let expected = vec![
        json!(["10.0.0.3", 5432, DATABASE, 2]),
        json!(["10.0.0.4", 80, IDLE, 0]),
        json!(["10.8.0.9", 6379, CACHE, 1]),
    ];
    for rolled in [false, true] {
        if rolled {
            server.roll_up(clock::now() + 200).await;
        }
        let answer = server.json(&path(WEB, start + 60)).await;
        assert_eq!(found(&answer), expected, "rolled up: {rolled}");
        assert_eq!((&answer["read"], &answer["unread"]), (&json!(4), &json!(0)));
        assert_eq!(answer["peers"][0]["name"], format!("{DATABASE}-name"));
        // The other end finds this one.
        let answer = server.json(&path(DATABASE, start + 60)).await;
        assert_eq!(found(&answer), [json!(["10.0.0.2", 5432, WEB, 2])]);
    }
    let before = server.json(&path(FORMER, start)).await;
    assert_eq!(found(&before), Vec::<Value>::new());
}

#[tokio::test]
async fn who_may_read_one_container_learns_nothing_of_others() {
    let (server, start) = shop().await;
    let own = token(&Access::Container(id(WEB)));
    let answer = server.get_with(&path(WEB, start + 60), &own).await;
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(
        answer,
        json!({"peers": [], "read": 0, "unread": 0, "skipped_connections": 0})
    );
}
