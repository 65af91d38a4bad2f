//! Empty stores for tests, and the macro that runs a test on each backend.

use std::sync::Arc;
use std::time::Duration;

use bubble_common::segment::SourceId;
use bubble_server::span::retention::Retention;
use bubble_server::store::Store;
use bubble_server::store::cassandra::address::Address;
use bubble_server::store::cassandra::{Cassandra, Consistency, Replication};
use bubble_server::store::sqlite::{Durability, Sqlite};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::unprepared::Statement;
use tempfile::TempDir;

/// An empty store in a file, and its folder, which must outlive it.
pub(crate) fn sqlite() -> (Arc<dyn Store>, TempDir) {
    let data = TempDir::new().expect("a temporary folder");
    let store = Sqlite::serve(data.path(), Durability::Process).expect("an empty store");
    (Arc::new(store), data)
}

/// An empty store in a keyspace named after the test.
pub(crate) async fn cassandra(test: &str) -> (Arc<dyn Store>, Address) {
    let address = no_keyspace(test).await;
    init(&address).await;
    (reopen(&address).await, address)
}

/// Creates the keyspace and its tables. Returns the versions of the schema before and after.
pub(crate) async fn init(address: &Address) -> (u32, u32) {
    let made = Cassandra::init(address, Consistency::default(), &Replication::Simple(1)).await;
    made.expect("a new keyspace")
}

/// The address of a keyspace named after the test, on the nodes in BUBBLE_CASSANDRA. Drops the keyspace
/// if it exists.
pub(crate) async fn no_keyspace(test: &str) -> Address {
    let hosts = std::env::var("BUBBLE_CASSANDRA")
        .expect("BUBBLE_CASSANDRA names a node: `cargo xtask test --only cassandra` starts one");
    // Longest name of a keyspace.
    let keyspace: String = format!("test_{test}").chars().take(48).collect();
    let address = Address::new(&hosts, &keyspace).expect("hosts");
    let session = session(&address).await;
    execute(&session, &format!("DROP KEYSPACE IF EXISTS {keyspace}")).await;
    address
}

/// A keyspace with tables of another program.
pub(crate) async fn foreign_keyspace(test: &str, tables: &[&str]) -> Address {
    let address = no_keyspace(test).await;
    let (session, keyspace) = (session(&address).await, &address.keyspace);
    let replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
    let create = format!("CREATE KEYSPACE {keyspace} WITH replication = {replication}");
    execute(&session, &create).await;
    for table in tables {
        let create = format!("CREATE TABLE {keyspace}.{table} (id int PRIMARY KEY)");
        execute(&session, &create).await;
    }
    address
}

/// Changes the tables of a keyspace behind the store's back.
pub(crate) async fn define(address: &Address, statement: &str) {
    let session = session(address).await;
    let used = session.use_keyspace(&address.keyspace, false).await;
    used.expect("the keyspace is there");
    execute(&session, statement).await;
}

/// Source and time to live of each row of a table of packed rows; `None` is for ever.
pub(crate) async fn times_to_live(address: &Address, table: &str) -> Vec<(SourceId, Option<i32>)> {
    let session = session(address).await;
    let used = session.use_keyspace(&address.keyspace, false).await;
    used.expect("the keyspace is there");
    let asked = format!("SELECT source, TTL(bytes) FROM {table}");
    let answer = session.query_unpaged(asked, ()).await.expect("it answers");
    let rows = answer.into_rows_result().expect("rows");
    let rows = rows.rows::<(Vec<u8>, Option<i32>)>().expect("two columns");
    rows.map(|row| {
        let (source, ttl) = row.expect("a row");
        (SourceId(source.try_into().expect("16 bytes")), ttl)
    })
    .collect()
}

async fn session(address: &Address) -> Session {
    let builder = SessionBuilder::new().known_nodes(&address.hosts);
    // It would read the tables of all tests.
    let builder = builder.fetch_schema_metadata(false);
    builder.build().await.expect("a node that answers")
}

async fn execute(session: &Session, statement: &str) {
    let mut statement = Statement::new(statement);
    statement.set_request_timeout(Some(Duration::from_secs(60)));
    let result = session.query_unpaged(statement, ()).await;
    result.expect("it is executed");
}

/// Opens the store as another server does.
pub(crate) async fn reopen(address: &Address) -> Arc<dyn Store> {
    let (consistency, retention) = (Consistency::default(), Retention::default());
    let store = Cassandra::open(address, consistency, retention).await;
    Arc::new(store.expect("the keyspace"))
}

/// Makes two tests of each function that takes a store: one on SQLite, and one on Cassandra, which is
/// ignored unless a node was started for it.
macro_rules! on_every_store {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $test() {
                    let (store, _data) = crate::store::backend::sqlite();
                    super::$test(store).await;
                }
            )+
        }

        mod cassandra {
            $(
                #[tokio::test]
                #[ignore = "needs a node: cargo xtask test --only cassandra"]
                async fn $test() {
                    let (store, _) = crate::store::backend::cassandra(stringify!($test)).await;
                    super::$test(store).await;
                }
            )+
        }
    };
}
pub(crate) use on_every_store;
