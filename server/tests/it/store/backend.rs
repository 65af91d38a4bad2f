//! Empty stores for tests, and the macro that runs a test on each backend.

use std::sync::Arc;
use std::time::Duration;

use bubble_common::segment::SourceId;
use bubble_server::rollup::retention::Retention;
use bubble_server::store::Store;
use bubble_server::store::cassandra::address::Address;
use bubble_server::store::cassandra::{Cassandra, Consistency, Replication};
use bubble_server::store::sqlite::{Durability, Sqlite};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::unprepared::Statement;
use tempfile::TempDir;

/// An empty store in a file, and the folder that must live as long.
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

/// Makes the keyspace and its tables; returns the versions of the schema before and after.
pub(crate) async fn init(address: &Address) -> (u32, u32) {
    let made = Cassandra::init(address, Consistency::default(), &Replication::Simple(1)).await;
    made.expect("a new keyspace")
}

/// The address of a keyspace named after the test, which is not there, on the nodes that BUBBLE_CASSANDRA names.
pub(crate) async fn no_keyspace(test: &str) -> Address {
    let hosts = std::env::var("BUBBLE_CASSANDRA")
        .expect("BUBBLE_CASSANDRA names a node: `cargo xtask test --only cassandra` starts one");
    // As long as the name of a keyspace may be.
    let keyspace: String = format!("test_{test}").chars().take(48).collect();
    let address = Address::new(&hosts, &keyspace).expect("hosts");
    let session = session(&address).await;
    // What an earlier run left.
    carry_out(&session, &format!("DROP KEYSPACE IF EXISTS {keyspace}")).await;
    address
}

/// Changes the tables of a keyspace behind the store's back.
pub(crate) async fn define(address: &Address, statement: &str) {
    let session = session(address).await;
    let used = session.use_keyspace(&address.keyspace, false).await;
    used.expect("the keyspace is there");
    carry_out(&session, statement).await;
}

/// Source and time to live (none: for ever) of each row of a table of packed rows.
pub(crate) async fn times_to_live(address: &Address, table: &str) -> Vec<(SourceId, Option<i32>)> {
    let session = session(address).await;
    let used = session.use_keyspace(&address.keyspace, false).await;
    used.expect("the keyspace is there");
    let asked = format!("SELECT source, TTL(bytes) FROM {table}");
    let answer = session.query_unpaged(asked, ()).await.expect("it answers");
    let rows = answer.into_rows_result().expect("rows");
    let rows = rows.rows::<(Vec<u8>, Option<i32>)>().expect("two columns");
    rows.map(|row| {
        let (source, lives) = row.expect("a row");
        (SourceId(source.try_into().expect("16 bytes")), lives)
    })
    .collect()
}

async fn session(address: &Address) -> Session {
    let builder = SessionBuilder::new().known_nodes(&address.hosts);
    builder.build().await.expect("a node that answers")
}

async fn carry_out(session: &Session, statement: &str) {
    let mut statement = Statement::new(statement);
    statement.set_request_timeout(Some(Duration::from_secs(60)));
    let done = session.query_unpaged(statement, ()).await;
    done.expect("it is carried out");
}

/// The same store, as another server has it.
pub(crate) async fn reopen(address: &Address) -> Arc<dyn Store> {
    let (consistency, retention) = (Consistency::default(), Retention::default());
    let store = Cassandra::open(address, consistency, retention).await;
    Arc::new(store.expect("the keyspace"))
}

/// Makes tests of functions that take a store: one each for SQLite, and one each for Cassandra
/// that is left out, and said to be, where no node was started for it.
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
