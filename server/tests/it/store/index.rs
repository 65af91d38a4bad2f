//! The index of containers, hosts and keys, on every backend.

use std::sync::Arc;

use bubble_server::clock;
use bubble_server::span::extent::Extent;
use bubble_server::store::Store;
use bubble_server::store::binding::Binding;
use bubble_server::store::container::State;
use bubble_server::store::deletion;
use bubble_server::store::host::Host;
use bubble_server::store::index::{ContainerFilter, Sort};
use bubble_server::store::key::ApiKey;
use bubble_server::store::token::IssuedToken;

use super::backend::on_every_store;
use super::{DAY, ID, post};
use crate::common::{id, seconds};

async fn the_latest_facts_count_and_a_restart_removes_the_end(store: Arc<dyn Store>) {
    let with = |at: u64, facts: &[(&str, &str)]| {
        let mut segment = seconds(ID, 1, at, 1, 7);
        for (name, value) in facts {
            segment
                .facts
                .insert((*name).to_owned(), (*value).to_owned());
        }
        post(&segment)
    };
    let ns = |second: u64| format!("{second}000000000");
    let fact = async |name: &str| {
        let container = store
            .container(&id(ID))
            .await
            .expect("answers")
            .expect("known");
        container.facts.get(name).cloned()
    };
    store
        .put(vec![with(DAY + 9, &[("name", "new")])])
        .await
        .expect("stored");
    store
        .put(vec![with(DAY, &[("name", "old"), ("extra", "x")])])
        .await
        .expect("stored");
    assert_eq!(fact("name").await.as_deref(), Some("new"));
    assert_eq!(fact("extra").await.as_deref(), Some("x"));
    store
        .put(vec![with(
            DAY + 10,
            &[
                ("started", &ns(DAY + 5)),
                ("ended", &ns(DAY + 10)),
                ("exit_code", "3"),
            ],
        )])
        .await
        .expect("stored");
    assert_eq!(fact("exit_code").await.as_deref(), Some("3"));
    let container = store
        .container(&id(ID))
        .await
        .expect("answers")
        .expect("known");
    assert_eq!(container.state(DAY + 11), State::Ended);
    store
        .put(vec![with(DAY + 11, &[("started", &ns(DAY + 11))])])
        .await
        .expect("stored");
    let container = store
        .container(&id(ID))
        .await
        .expect("answers")
        .expect("known");
    assert_eq!(container.state(DAY + 12), State::Running);
    assert_eq!(container.state(DAY + 1_000), State::Silent);
    assert_eq!(fact("exit_code").await, None);
    let running = ContainerFilter {
        state: Some(State::Running),
        now: DAY + 12,
        limit: 10,
        ..ContainerFilter::default()
    };
    assert_eq!(store.containers(&running).await.expect("a page").total, 1);
}

async fn keys_are_created_used_and_deleted(store: Arc<dyn Store>) {
    let key = ApiKey {
        id: "k1".to_owned(),
        hash: [7; 32],
        owner: "node7".to_owned(),
        created: clock::now(),
        last_used: 0,
    };
    store.create_key(key.clone()).await.expect("stored");
    assert!(
        store.create_key(key.clone()).await.is_err(),
        "an id is used once"
    );
    assert_eq!(store.key("k1").await.expect("answers"), Some(key.clone()));
    store.touch_key("k1", 99).await.expect("noted");
    store.touch_key("k1", 98).await.expect("noted");
    let keys = store.keys().await.expect("answers");
    assert_eq!(
        keys,
        [ApiKey {
            last_used: 99,
            ..key
        }]
    );
    assert!(store.delete_key("k1").await.expect("answers"));
    assert!(!store.delete_key("k1").await.expect("answers"));
    assert_eq!(store.key("k1").await.expect("answers"), None);
}

async fn a_name_belongs_to_the_first_owner_until_it_is_released(store: Arc<dyn Store>) {
    let binding = |name: &str, owner: &str, host: &str, identity: &str| Binding {
        name: name.to_owned(),
        owner: owner.to_owned(),
        host: host.to_owned(),
        identity: identity.to_owned(),
        key: "k1".to_owned(),
        since: DAY,
    };
    let bind = async |wanted: &[Binding]| store.bind(wanted.to_vec()).await.expect("answers");
    let first = [binding("c1", "a", "", ""), binding("c2", "a", "h", "i")];
    assert_eq!(bind(&first).await, first);
    // Another owner neither takes it nor completes it. The first one completes it once.
    let other = [binding("c2", "b", "g", "j"), binding("c1", "b", "g", "j")];
    assert_eq!(bind(&other).await, [first[1].clone(), first[0].clone()]);
    let complete = binding("c1", "a", "h", "i");
    let completed = [complete.clone()];
    assert_eq!(bind(&completed).await, completed);
    assert_eq!(bind(&[binding("c1", "a", "g", "j")]).await, completed);
    assert_eq!(
        store.bindings().await.expect("answers"),
        [complete.clone(), first[1].clone()]
    );
    // The container shows it, and frees it when it is deleted.
    let posts = vec![post(&seconds("c1", 1, DAY, 1, 7))];
    store.put(posts).await.expect("stored");
    let container = store.container(&id("c1")).await.expect("answers");
    assert_eq!(container.expect("known").binding, Some(complete));
    assert!(store.delete_container(&id("c1")).await.expect("answers"));
    store.sweep().await.expect("answers");
    assert_eq!(store.binding("c1").await.expect("answers"), None);
    assert!(store.release("c2").await.expect("answers"));
    assert!(!store.release("c2").await.expect("answers"));
    let taken = [binding("c2", "b", "g", "")];
    assert_eq!(bind(&taken).await, taken);
}

async fn tokens_are_listed_and_revoked(store: Arc<dyn Store>) {
    let now = clock::now();
    let token = |id: &str, expires: u64, revoked: bool| IssuedToken {
        id: id.to_owned(),
        container: "c1".to_owned(),
        created: now,
        expires,
        revoked,
        shared: (id == "a").then_some(Extent::Span(60..120)),
    };
    for (id, expires) in [("a", now + 600), ("b", now + 900)] {
        store
            .put_token(token(id, expires, false))
            .await
            .expect("noted");
    }
    store.revoke_token("b", now + 600).await.expect("revoked");
    // One that others made.
    store.revoke_token("c", now + 600).await.expect("revoked");
    // A copy of another store may not know that it is revoked.
    let before = token("b", now + 900, false);
    store.put_token(before).await.expect("noted");
    let tokens = async |now| store.tokens(now).await.expect("answers");
    let unknown = IssuedToken {
        container: String::new(),
        created: 0,
        ..token("c", now + 600, true)
    };
    assert_eq!(
        tokens(now).await,
        [
            token("a", now + 600, false),
            token("b", now + 900, true),
            unknown
        ]
    );
    assert_eq!(tokens(now + 700).await, [token("b", now + 900, true)]);
}

async fn containers_are_found_and_sorted(store: Arc<dyn Store>) {
    // Later containers have less CPU and earlier names.
    for (n, name) in ["delta", "Charlie", "bravo", "alpha"]
        .into_iter()
        .enumerate()
    {
        let start = DAY + 86_400 * n as u64;
        let mut segment = seconds(&format!("c{n}"), 1, start, 60, 1_000 - n as u64);
        segment.facts.insert("name".to_owned(), name.to_owned());
        let host = format!("node{}", n % 2);
        segment.facts.insert("host".to_owned(), host);
        store.put(vec![post(&segment)]).await.expect("stored");
    }
    let page = async |filter: ContainerFilter| {
        let page = store.containers(&filter).await.expect("a page");
        let ids: Vec<String> = page.containers.iter().map(|c| c.id.to_string()).collect();
        (ids.join(" "), page.total)
    };
    let all = || ContainerFilter {
        limit: 10,
        now: DAY + 4 * 86_400,
        ..ContainerFilter::default()
    };
    for (sort, order) in [
        (Sort::Activity, "c3 c2 c1 c0"),
        (Sort::Name, "c3 c2 c1 c0"),
        (Sort::Cpu, "c0 c1 c2 c3"),
        (Sort::Bytes, "c0 c1 c2 c3"),
    ] {
        let sorted = page(ContainerFilter { sort, ..all() }).await;
        assert_eq!(sorted, (order.to_owned(), 4), "{sort:?}");
    }
    for offset in [0, 3] {
        for sort in [Sort::Activity, Sort::Cpu] {
            let (ids, total) = page(ContainerFilter {
                limit: 2,
                offset,
                sort,
                ..all()
            })
            .await;
            let count = if offset == 0 { 2 } else { 1 };
            assert_eq!(
                (ids.split(' ').count(), total),
                (count, 4),
                "{offset} {sort:?}"
            );
        }
    }
    let search = |text: &str| Some(text.to_owned());
    let found = page(ContainerFilter {
        search: search("CHARL"),
        ..all()
    })
    .await;
    assert_eq!(found, ("c1".to_owned(), 1));
    let found = page(ContainerFilter {
        host: search("node1"),
        ..all()
    })
    .await;
    assert_eq!(found, ("c3 c1".to_owned(), 2));
    let found = page(ContainerFilter {
        search: search("nothing"),
        ..all()
    })
    .await;
    assert_eq!(found, (String::new(), 0));
}

async fn a_host_shows_its_latest_report(store: Arc<dyn Store>) {
    let host = |name: &str, last_seen: f64| Host {
        host: name.to_owned(),
        owner: "tests".to_owned(),
        key: "k1".to_owned(),
        agents: 1,
        version: "0.1.0".to_owned(),
        kernel: "6.12".to_owned(),
        hooks: "vfs".to_owned(),
        missing: vec!["nothing".to_owned()],
        cores: 4,
        memory: 1 << 33,
        last_seen,
        cpu_percent: 0.5,
        rss: 1 << 24,
        kernel_percent: 0.25,
        spooled: 0,
        dropped: 0,
        received: 5.0,
        clock_offset: Some(-1.5),
        dropped_at: 2.0,
    };
    for (name, at) in [("b", 1.0), ("a", 1.0), ("b", 2.5)] {
        store.put_host(host(name, at)).await.expect("noted");
    }
    // Reports from before owners were noted. One with an owner replaces that of the same name.
    let old = |name: &str| Host {
        owner: String::new(),
        key: String::new(),
        ..host(name, 0.5)
    };
    for name in ["a", "c"] {
        store.put_host(old(name)).await.expect("noted");
    }
    let hosts = store.hosts().await.expect("answers");
    assert_eq!(hosts, [host("a", 1.0), host("b", 2.5), old("c")]);
    for (name, deleted) in [("a", 1), ("c", 1), ("c", 0)] {
        let of_name = deletion::delete_hosts(&*store, name, None).await;
        assert_eq!(of_name.expect("answers"), deleted, "{name}");
    }
    let hosts = store.hosts().await.expect("answers");
    assert_eq!(hosts, [host("b", 2.5)]);
}

on_every_store!(
    the_latest_facts_count_and_a_restart_removes_the_end,
    keys_are_created_used_and_deleted,
    a_name_belongs_to_the_first_owner_until_it_is_released,
    tokens_are_listed_and_revoked,
    containers_are_found_and_sorted,
    a_host_shows_its_latest_report,
);
