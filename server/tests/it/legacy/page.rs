//! The contract with the page of the Python system (`static/index.html`): each request that it makes,
//! with the fields that it reads.

use bubble_server::auth::token::Access;
use bubble_server::clock;
use bubble_server::http::state::AppState;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{ID, cpu, fd, post_event};
use crate::common::{Server, client, id, token};

/// A row of `cpu`, of a process called `name` in a container or job.
fn row(container: &str, name: &str, pid: u32, inside: u32, args: &str, ns: u64) -> Value {
    let exe = format!("/bin/{name}");
    json!([
        "1",
        name,
        pid.to_string(),
        inside.to_string(),
        "4096",
        container,
        exe,
        args,
        "10",
        ns
    ])
}

async fn get(server: &Server, container: &str, path: &str) -> Value {
    let jwt = token(&Access::Container(id(container)));
    let request = server
        .client
        .get(format!("{}/container/{container}/{path}", server.url));
    // As d3 sends it.
    let answer = request
        .header("authorization", format!("token {jwt}"))
        .send()
        .await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.json().await.expect("JSON")
}

#[tokio::test]
async fn every_request_of_the_page_has_the_fields_that_it_reads() {
    let server = Server::start().await;
    let now = clock::now() - 20;
    let rows = [
        row(ID, "tini", 10, 1, "", 1),
        row(ID, "web", 11, 9, "-a  b ", 2_000),
    ];
    post_event(&server, cpu(now, &json!(rows))).await;
    post_event(&server, fd(now, &json!([["11", "9", ID, "/x", "out", 8]]))).await;
    // load_proc
    let list = get(&server, ID, "proc").await;
    let processes = list["data"].as_array().expect("a list");
    let web = json!({"id": 11, "exe": "/bin/web", "args": "-a  b ", "name": "web", "parent": 10, "is_root": 0});
    assert_eq!(processes[1], web);
    assert_eq!(
        (&processes[0]["is_root"], &processes[0]["args"]),
        (&json!(1), &json!(""))
    );
    // load_io
    let files = get(&server, ID, "io").await;
    let file = json!({"file_name": "/x", "proc_id": 11, "io_in": 0, "io_out": 8, "io_total": 8});
    assert_eq!(files, json!({"11": [file]}));
    // load_cpu, load_per_cpu and load_mem, with each of its buttons
    for (interval, seconds) in [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("", 1)] {
        let ts = (now - now % seconds) as f64;
        let all = get(&server, ID, &format!("cpu?interval={interval}")).await;
        assert_eq!(
            all["11"],
            json!([{"ts": ts, "proc_name": 11, "duration": 2_000}])
        );
        let cores = get(&server, ID, &format!("cpu/11?interval={interval}")).await;
        let core = json!({"ts": ts, "proc_name": 11, "duration": 2_000, "cpu": 1});
        assert_eq!(cores, json!({"11": [core]}), "{interval}");
        let memory = get(&server, ID, &format!("mem?interval={interval}")).await;
        assert_eq!(
            memory["11"],
            json!([{"ts": ts, "proc_name": 11, "vm_size": 4_096}])
        );
        let io = get(&server, ID, &format!("io?interval={interval}")).await;
        assert_eq!(
            io,
            json!({"11": [{"ts": ts, "proc_name": 11, "bytes": 8}]}),
            "{interval}"
        );
    }
}

#[tokio::test]
async fn seconds_are_answered_in_slots_of_ten_by_a_parameter_or_a_setting() {
    let server = Server::start().await;
    let start = (clock::now() - 60) / 10 * 10;
    for (second, ns) in [(0, 5), (9, 7), (10, 11)] {
        let body = cpu(start + second, &json!([row(ID, "web", 11, 9, "", ns)]));
        post_event(&server, body).await;
    }
    let expected = json!({"11": [
        {"ts": start as f64, "proc_name": 11, "duration": 12},
        {"ts": (start + 10) as f64, "proc_name": 11, "duration": 11},
    ]});
    assert_eq!(get(&server, ID, "cpu?slots=10").await, expected);
    assert_eq!(get(&server, ID, "cpu?interval=s&slots=10").await, expected);
    // Memory is the highest of a slot, not a sum.
    let memory = get(&server, ID, "mem?slots=10").await;
    assert_eq!(memory["11"][0]["vm_size"], 4_096);
    for bad in [
        "cpu?slots=0",
        "cpu?slots=61",
        "cpu?slots=x",
        "cpu?interval=m&slots=10",
    ] {
        let answer = server.get(&format!("/container/{ID}/{bad}")).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{bad}");
    }
    let old = AppState {
        legacy_slots: 10,
        open: true,
        ..server.state.clone()
    };
    let url = server.also(old).await;
    let ask = async |query: &str| -> Value {
        let answer = client()
            .get(format!("{url}/container/{ID}/cpu{query}"))
            .send()
            .await;
        answer.expect("an answer").json().await.expect("JSON")
    };
    assert_eq!(ask("").await, expected);
    assert_eq!(
        ask("?slots=1").await["11"].as_array().map(Vec::len),
        Some(3)
    );
    let minutes = ask("?interval=m").await;
    let ts = minutes["11"][0]["ts"].as_f64().expect("a number");
    assert!((ts as u64).is_multiple_of(60), "{minutes}");
}

#[tokio::test]
async fn numbers_arguments_and_the_script_of_a_job_are_as_they_were() {
    let server = Server::start().await;
    let now = clock::now() - 5;
    let job = "/slurm/uid_1000/job_42/step_batch";
    let mut script = row(
        job,
        "bash",
        20,
        20,
        "/var/spool/slurmd/job00042/slurm_script",
        1,
    );
    script[4] = json!((1_u64 << 54) - 1);
    let mut huge = row(job, "java", 21, 21, "-Xmx1g", 1);
    huge[4] = json!("17179869184");
    let mut unknown = row(job, "gone", 22, 22, "", 1);
    unknown[4] = json!("?");
    post_event(&server, cpu(now, &json!([script, huge, unknown]))).await;
    let list = get(&server, "job_42", "proc").await;
    let roots: Vec<&Value> = list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| &p["is_root"])
        .collect();
    assert_eq!(roots, [&json!(1), &json!(0), &json!(0)]);
    let memory = get(&server, "job_42", "mem").await;
    assert_eq!(memory["20"][0]["vm_size"], (1_u64 << 54) - 1);
    assert_eq!(memory["21"][0]["vm_size"], 17_179_869_184_u64);
    assert_eq!(memory["22"], Value::Null);
    // The new page draws memory from virtual sizes, and what was not measured is null.
    let path = format!(
        "/api/v1/containers/job_42/summary?from={now}&to={}",
        now + 1
    );
    let panel = &server.json(&path).await["memory"];
    assert_eq!(panel["current"], json!([null]));
    assert_eq!(
        panel["processes"][1]["values"],
        json!([17_179_869_184_u64 * 1_024])
    );
}
