//! Queries and links.

use bubble_server::auth::token::Access;
use bubble_server::clock;
use bubble_server::http::state::AppState;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{ID, cpu, fd, haproxy, post_event};
use crate::common::{Server, client, id, token};

/// Posts two seconds from `now` on: processes 11 and 12, and 13, the first of the container.
async fn post_two_seconds(server: &Server, now: u64) {
    let row = |core: &str, name: &str, pid: &str, vm: &str, ns: u64| {
        let exe = format!("/bin/{name}");
        json!([core, name, pid, "9", vm, ID, exe, "-a b", "7", ns])
    };
    let root = json!([["0", "root", "13", "1", "1", ID, "/root", "", "0", 0]]);
    let one = json!([row("0", "a", "11", "5", 300), row("1", "a", "11", "6", 30)]);
    let two = json!([row("0", "a", "11", "4", 3), row("0", "b", "12", "50", 400)]);
    let network = json!([
        ["11", "9", ID, "1.1.1.1:5->2.2.2.2:80", "out", 9],
        ["11", "9", ID, "1.1.1.1:5->2.2.2.2:80", "in", 5]
    ]);
    let file = json!([["12", "9", ID, "/x", "out", 8]]);
    for body in [
        cpu(now, &one),
        cpu(now + 1, &two),
        cpu(now + 1, &root),
        fd(now, &network),
        fd(now + 1, &file),
    ] {
        post_event(server, body).await;
    }
}

async fn read(server: &Server, what: &str) -> Value {
    server.json(&format!("/container/{ID}/{what}")).await
}

#[tokio::test]
async fn cpu_and_memory_have_the_shapes_of_the_python_system() {
    let server = Server::start().await;
    let now = clock::now() - 10;
    let (first, second) = (now as f64, (now + 1) as f64);
    post_two_seconds(&server, now).await;
    let expected = json!({
        "11": [{"ts": first, "proc_name": 11, "duration": 330}, {"ts": second, "proc_name": 11, "duration": 3}],
        "12": [{"ts": second, "proc_name": 12, "duration": 400}],
        "13": [{"ts": second, "proc_name": 13, "duration": 0}],
    });
    assert_eq!(read(&server, "cpu").await, expected);
    assert_eq!(read(&server, "cpu?interval=s&top=3").await, expected);
    let top = json!({"12": expected["12"]});
    assert_eq!(read(&server, "cpu?top=1").await, top);
    let cores = json!({"11": [
        {"ts": first, "proc_name": 11, "duration": 300, "cpu": 0},
        {"ts": second, "proc_name": 11, "duration": 3, "cpu": 0},
        {"ts": first, "proc_name": 11, "duration": 30, "cpu": 1},
    ]});
    assert_eq!(read(&server, "cpu/11").await, cores);
    assert_eq!(read(&server, "cpu/99").await, json!({}));
    let memory = json!({
        "11": [{"ts": first, "proc_name": 11, "vm_size": 6}, {"ts": second, "proc_name": 11, "vm_size": 4}],
        "12": [{"ts": second, "proc_name": 12, "vm_size": 50}],
    });
    assert_eq!(read(&server, "mem?top=2").await, memory);
}

#[tokio::test]
async fn bytes_and_processes_have_the_shapes_of_the_python_system() {
    let server = Server::start().await;
    let now = clock::now() - 10;
    post_two_seconds(&server, now).await;
    let by_slot = json!({
        "11": [{"ts": now as f64, "proc_name": 11, "bytes": 14}],
        "12": [{"ts": (now + 1) as f64, "proc_name": 12, "bytes": 8}],
    });
    assert_eq!(read(&server, "io?interval=s&system=true").await, by_slot);
    let by_name = json!({
        "11": [{"file_name": "1.1.1.1:5->2.2.2.2:80", "proc_id": 11, "io_in": 5, "io_out": 9, "io_total": 14}],
        "12": [{"file_name": "/x", "proc_id": 12, "io_in": 0, "io_out": 8, "io_total": 8}],
    });
    assert_eq!(read(&server, "io").await, by_name);
    let processes = read(&server, "proc").await;
    assert_eq!(
        processes["data"][0],
        json!({"id": 11, "exe": "/bin/a", "args": "-a b", "name": "a", "parent": 7, "is_root": 0})
    );
    let third = &processes["data"][2];
    assert_eq!(
        (&third["name"], &third["is_root"]),
        (&json!("root"), &json!(1))
    );
}

#[tokio::test]
async fn coarser_points_have_the_same_sums_before_and_after_roll_up() {
    let server = Server::start().await;
    let now = clock::now() - 10;
    post_two_seconds(&server, now).await;
    for _ in 0..2 {
        for (interval, seconds) in [("m", 60), ("h", 3_600), ("d", 86_400)] {
            let answer = read(&server, &format!("cpu?interval={interval}")).await;
            for (pid, sum) in [("11", 333), ("12", 400)] {
                let points = answer[pid].as_array().expect("points");
                let number = |point: &Value, name: &str| point[name].as_f64().expect("a number");
                let mut starts = points.iter().map(|point| number(point, "ts") as u64);
                assert!(starts.all(|ts| ts.is_multiple_of(seconds)), "{interval}");
                let durations = points.iter().map(|point| number(point, "duration"));
                assert_eq!(durations.sum::<f64>(), f64::from(sum), "{interval}");
            }
        }
        server.roll_up(now + 2 * 86_400).await;
    }
}

#[tokio::test]
async fn an_unknown_container_is_an_empty_answer_and_bad_parameters_are_400() {
    let server = Server::start().await;
    assert_eq!(server.json("/container/ffffffffffff/cpu").await, json!({}));
    assert_eq!(
        server.json("/container/ffffffffffff/proc").await,
        json!({"data": []})
    );
    for bad in ["cpu?interval=y", "cpu?top=x", "cpu/x"] {
        let answer = server.get(&format!("/container/{ID}/{bad}")).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn reading_needs_the_containers_token_unless_it_is_switched_off() {
    let server = Server::start().await;
    post_event(&server, cpu(clock::now(), &json!([haproxy(1)]))).await;
    let path = format!("{}/container/{ID}/cpu", server.url);
    let ask = async |authorization: &str| {
        let request = server
            .client
            .get(&path)
            .header("authorization", authorization);
        request.send().await.expect("an answer").status()
    };
    let own = token(&Access::Container(id(ID)));
    let other = token(&Access::Container(id("ffffffffffff")));
    assert_eq!(ask(&format!("token {own}")).await, StatusCode::OK);
    assert_eq!(ask(&format!("token {other}")).await, StatusCode::FORBIDDEN);
    assert_eq!(ask("").await, StatusCode::UNAUTHORIZED);

    let open = server
        .also(AppState {
            open: true,
            ..server.state.clone()
        })
        .await;
    for path in [
        format!("/container/{ID}/cpu"),
        "/api/v1/containers".to_owned(),
    ] {
        let answer = client().get(format!("{open}{path}")).send().await;
        assert_eq!(
            answer.expect("an answer").status(),
            StatusCode::OK,
            "{path}"
        );
    }
    // The switch is for reading only.
    let answer = client().delete(format!("{open}/api/v1/recordings/{}", "0".repeat(32)));
    let answer = answer.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let answer = client().post(format!("{open}/event/api/x")).send().await;
    assert_eq!(
        answer.expect("an answer").status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn old_links_lead_to_the_new_page() {
    let server = Server::start().await;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let follow = async |query: &str| {
        let url = format!("{}/static/index.html{query}", server.url);
        let answer = client.get(url).send().await.expect("an answer");
        let location = answer.headers().get("location").cloned();
        (
            answer.status().as_u16(),
            location.map(|value| value.to_str().expect("text").to_owned()),
        )
    };
    let jwt = token(&Access::Container(id(ID)));
    assert_eq!(
        follow(&format!("?container={ID}&token={jwt}")).await,
        (303, Some(format!("/c/{ID}#token={jwt}")))
    );
    assert_eq!(
        follow(&format!("?container={ID}")).await,
        (303, Some(format!("/c/{ID}")))
    );
    assert_eq!(
        follow(&format!("?container={ID}&token=x%0d%0aset-cookie:a")).await,
        (303, Some(format!("/c/{ID}")))
    );
    assert_eq!(
        follow(&format!("?container={ID}&token={jwt}&root=a%26b%23%0d%0a")).await,
        (
            303,
            Some(format!("/c/{ID}?root=a%26b%23%0D%0A#token={jwt}"))
        )
    );
    assert_eq!(
        follow(&format!("?container={ID}&root=slurm_script")).await,
        (303, Some(format!("/c/{ID}?root=slurm_script")))
    );
    for bad in ["", "?container=", "?container=//evil.example", "?token=x"] {
        assert_eq!(follow(bad).await, (400, None), "{bad}");
    }
}
