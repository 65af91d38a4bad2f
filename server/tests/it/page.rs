//! The embedded page, and the headers of every answer.

use reqwest::StatusCode;

use crate::common::Server;

#[tokio::test]
async fn any_path_of_the_page_is_the_page() {
    let server = Server::start().await;
    for path in ["/", "/c/aaaaaaaaaaaa", "/c/cron.service@node7", "/hosts"] {
        let answer = server.client.get(format!("{}{path}", server.url)).send();
        let answer = answer.await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let kind = answer.headers()["content-type"].to_str().expect("text");
        assert!(kind.starts_with("text/html"), "{path}: {kind}");
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .expect("text");
        assert!(policy.contains("default-src 'none'"), "{policy}");
    }
    for path in ["/assets/none.js", "/.gitignore", "/api/v1/none"] {
        let answer = server.client.get(format!("{}{path}", server.url)).send();
        assert_eq!(
            answer.await.expect("an answer").status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn metrics_have_patterns_of_routes_and_no_paths() {
    let server = Server::start().await;
    server.get("/api/v1/containers/aaaaaaaaaaaa").await;
    let text = server.get("/metrics").await.text().await.expect("text");
    assert!(
        text.contains("bubble_server_segments_stored_total 0"),
        "{text}"
    );
    assert!(text.contains("/api/v1/containers/{id}"), "{text}");
    assert!(!text.contains("aaaaaaaaaaaa"), "{text}");
}
