//! Whole-life answers: all that is stored, each pair once; and links to jobs.

use bubble_common::segment::facts;
use bubble_server::auth::token::Access;
use bubble_server::clock;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{ID, cpu, fd, post_event};
use crate::common::{Server, id, seconds, token};

/// More than the cap of a minute's tables, and less than that of a second's processes.
const MANY: u32 = 600;

/// Names and bytes of one process.
fn files(io: &Value, pid: &str) -> Vec<(String, u64)> {
    let rows = io[pid].as_array().cloned().unwrap_or_default();
    let row = |row: &Value| {
        let bytes = row["io_total"].as_u64().expect("a number");
        (row["file_name"].as_str().expect("text").to_owned(), bytes)
    };
    rows.iter().map(row).collect()
}

#[tokio::test]
async fn whole_life_answers_have_every_process_and_file_that_is_stored() {
    let server = Server::start().await;
    let start = (clock::now() - 600) / 60 * 60;
    // 150 files a minute for 6 minutes: no minute of seconds folds, but the hour of minutes does.
    for minute in 0..6 {
        let rows: Vec<Value> = (0..150)
            .map(|n| json!(["1", "1", ID, format!("/f{minute}/{n}"), "in", n + 1]))
            .collect();
        post_event(&server, fd(start + 60 * minute, &json!(rows))).await;
    }
    let rows: Vec<Value> = (0..MANY)
        .map(|n| {
            json!([
                "0",
                "p",
                (n + 10).to_string(),
                "9",
                "1",
                ID,
                "/p",
                "",
                "1",
                1_000
            ])
        })
        .collect();
    post_event(&server, cpu(start, &json!(rows))).await;
    for later in [700, 4 * 3_600, 30 * 3_600] {
        let io = server.json(&format!("/container/{ID}/io")).await;
        let found = files(&io, "1");
        assert_eq!(found.len(), 900);
        assert_eq!(
            found.iter().map(|(_, bytes)| bytes).sum::<u64>(),
            6 * 150 * 151 / 2
        );
        let list = server.json(&format!("/container/{ID}/proc")).await;
        // Process 1 is known from its files alone.
        assert_eq!(
            list["data"].as_array().map(Vec::len),
            Some(MANY as usize + 1)
        );
        server.roll_up(start + later).await;
    }
    // When the seconds have expired, sums stay exact, and what was folded is said.
    for day in 2..5 {
        server.roll_up(start + day * 86_400).await;
    }
    let io = server.json(&format!("/container/{ID}/io")).await;
    let found = files(&io, "1");
    assert_eq!(
        found.iter().map(|(_, bytes)| bytes).sum::<u64>(),
        6 * 150 * 151 / 2
    );
    assert!(
        found.len() < 900 && found.iter().any(|(name, _)| name == "(other)"),
        "{found:?}"
    );
    let list = server.json(&format!("/container/{ID}/proc")).await;
    let last = list["data"]
        .as_array()
        .and_then(|all| all.last().cloned())
        .expect("entries");
    assert_eq!((&last["id"], &last["name"]), (&json!(0), &json!("(other)")));
    let args = last["args"].as_str().expect("text");
    assert!(args.starts_with("folded, at least: p x "), "{args}");
}

#[tokio::test]
async fn a_process_that_ran_several_programs_has_each_file_once() {
    use bubble_common::segment::process::{Process, ProcessId};
    let server = Server::start().await;
    let now = clock::now() - 5;
    let mut segment = seconds(ID, 1, now, 1, 1);
    // The same process runs another program, which writes the same file.
    let mut second = segment.processes[0].clone();
    second.id = ProcessId {
        exec: 2,
        ..second.id
    };
    let next = Process {
        name: "sh".to_owned(),
        ..second
    };
    segment.processes.push(next);
    let mut cell = segment.file_io[0];
    cell.row.0 = 1;
    segment.file_io.push(cell);
    assert_eq!(server.post(vec![segment]).await, (1, 0));
    let io = server.json(&format!("/container/{ID}/io")).await;
    assert_eq!(
        files(&io, "4242"),
        [("/var/log/access.log".to_owned(), 8_192)]
    );
    let list = server.json(&format!("/container/{ID}/proc")).await;
    assert_eq!(list["data"][0]["name"], "sh");
    assert_eq!(list["data"][0]["args"], "-g daemon off;");
}

/// The agent stores a job by step; links of the Python system name the whole job.
#[tokio::test]
async fn links_to_a_job_find_its_steps() {
    let server = Server::start().await;
    let now = clock::now() - 5;
    let one = seconds("slurm-7.batch@node1", 1, now, 1, 5);
    let steps = [
        "slurm-42.batch@node1",
        "slurm-42.0@node2",
        "slurm-421.0@node2",
    ];
    let mut segments: Vec<_> = steps
        .iter()
        .map(|step| seconds(step, 1, now, 1, 5))
        .collect();
    segments.push(one);
    // Steps that Slurm names by the sortable id of the job, which the agent has the number of.
    for (step, job) in [
        ("slurm-sEKNKTV3WPV500.1@node2", "42"),
        ("slurm-sEKNKTV3WPV501.0@node2", "421"),
    ] {
        let mut segment = seconds(step, 1, now, 1, 5);
        for (name, value) in [
            (facts::SLURM_JOB, job.to_owned()),
            (facts::NAME, format!("slurm-{job}.0")),
        ] {
            segment.facts.insert(name.to_owned(), value);
        }
        segment.processes[0].container_pid = 0;
        segment.processes[0].args = "sh\0/var/spool/slurmd/slurm_script".to_owned();
        segments.push(segment);
    }
    assert_eq!(server.post(segments).await, (6, 0));
    let jwt = token(&Access::Container(id("job_42")));
    let get = async |path: &str| {
        let answer = server.get_with(path, &jwt).await;
        let status = answer.status();
        (status, answer.json::<Value>().await.unwrap_or_default())
    };
    // All steps add up.
    let (status, cpu) = get("/container/job_42/cpu").await;
    assert_eq!(
        (status, &cpu["4242"][0]["duration"]),
        (StatusCode::OK, &json!(15))
    );
    let (_, io) = get("/container/job_42/io").await;
    assert_eq!(
        files(&io, "4242"),
        [("/var/log/access.log".to_owned(), 12_288)]
    );
    let (status, list) = get("/api/v1/containers").await;
    assert_eq!((status, &list["total"]), (StatusCode::OK, &json!(3)));
    for (path, expected) in [
        ("/api/v1/containers/slurm-42.0@node2", 200),
        ("/api/v1/containers/slurm-421.0@node2", 403),
        ("/api/v1/containers/slurm-sEKNKTV3WPV500.1@node2", 200),
        ("/api/v1/containers/slurm-sEKNKTV3WPV501.0@node2", 403),
        ("/container/job_421/cpu", 403),
    ] {
        assert_eq!(get(path).await.0.as_u16(), expected, "{path}");
    }
    // A step has the same, whichever id of the job its own has.
    for step in ["slurm-42.0@node2", "slurm-sEKNKTV3WPV500.1@node2"] {
        let jwt = token(&Access::Container(id(step)));
        let answer = server.get_with("/api/v1/containers", &jwt).await;
        assert_eq!(answer.status(), StatusCode::OK, "{step}");
        let list: Value = answer.json().await.expect("JSON");
        assert_eq!(list["containers"][0]["id"], step);
    }
    let script = "/container/slurm-sEKNKTV3WPV500.1@node2/proc";
    assert_eq!(server.json(script).await["data"][0]["is_root"], 1);
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    for (job, expected) in [
        ("job_42", "/#token=x"),
        ("job_7", "/c/slurm-7.batch@node1#token=x"),
        ("job_8", "/c/job_8#token=x"),
    ] {
        let url = format!("{}/static/index.html?container={job}&token=x", server.url);
        let answer = client.get(url).send().await.expect("an answer");
        let location = answer.headers().get("location").expect("a redirection");
        assert_eq!(location.to_str().ok(), Some(expected), "{job}");
    }
}
