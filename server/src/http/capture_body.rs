//! The body of an upload: a file without a name, within its limits.

use std::fs::File;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header;
use futures_util::StreamExt as _;
use rustix::fs::fstatvfs;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};

use super::error::{ApiError, Code};
use super::state::AppState;
use crate::capture::start::max_output;

/// Time that any body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Slowest rate at which more time is given, in bytes per second.
const MIN_BODY_RATE: u64 = 64 << 10;
/// Bytes of the disk that uploads leave free, for the database.
const RESERVED_DISK: u64 = 256 << 20;
/// Bytes between two looks at the space of the disk.
const CHECK_INTERVAL: u64 = 16 << 20;

/// Receives a capture.
pub(super) async fn receive(request: Request, state: &AppState) -> Result<File, ApiError> {
    let limit = state.limits.capture;
    if limit == 0 {
        return Err(ApiError::new(
            Code::Forbidden,
            "this server takes no captures, as its --max-capture is 0: post it with `bubble-agent analyse`",
        ));
    }
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced: Option<u64> = announced.and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|announced| announced > limit) {
        return Err(too_large(limit));
    }
    let file = state.readers.file()?;
    let announced = announced.unwrap_or(0);
    has_space(&file, announced.saturating_add(max_output(announced)))?;
    let disk_failed = |error: std::io::Error| no_disk(error.to_string());
    let mut file = tokio::fs::File::from_std(file);
    let began = Instant::now();
    let mut stream = request.into_body().into_data_stream();
    let mut received: u64 = 0;
    let mut checked = 0;
    loop {
        let earned = Duration::from_secs(received / MIN_BODY_RATE);
        let chunk = match timeout_at(began + BODY_TIMEOUT + earned, stream.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                let message = "the body ended before all of it was sent";
                return Err(ApiError::new(Code::BadRequest, message).with_log(error.to_string()));
            }
            Err(_) => {
                let message = format!(
                    "the body came slower than {MIN_BODY_RATE} bytes per second: use a faster network, or \
                     post it with `bubble-agent analyse`"
                );
                return Err(ApiError::new(Code::TooManyRequests, message));
            }
        };
        received += chunk.len() as u64;
        if received > limit {
            return Err(too_large(limit));
        }
        file.write_all(&chunk).await.map_err(disk_failed)?;
        if received - checked >= CHECK_INTERVAL {
            checked = received;
            file.flush().await.map_err(disk_failed)?;
            has_space(&file, 0)?;
        }
    }
    file.flush().await.map_err(disk_failed)?;
    has_space(&file, max_output(received))?;
    Ok(file.into_std().await)
}

/// Refuses if `bytes` more would leave too little of the disk for the database.
fn has_space(file: impl std::os::fd::AsFd, bytes: u64) -> Result<(), ApiError> {
    let disk = fstatvfs(file).map_err(|error| no_disk(error.to_string()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    match free >= bytes.saturating_add(RESERVED_DISK) {
        true => Ok(()),
        false => Err(ApiError::new(
            Code::Unavailable,
            "the disk of the server has no space for this capture: free some, or post it with \
             `bubble-agent analyse`",
        )),
    }
}

fn too_large(limit: u64) -> ApiError {
    ApiError::new(
        Code::TooLarge,
        format!(
            "the capture is larger than {limit} bytes: compress it with gzip, record less at a time \
             (sysdig -w FILE -C 100), raise --max-capture, or post it with `bubble-agent analyse`"
        ),
    )
}

/// The answer when a file of the server fails.
pub(super) fn no_disk(log: impl Into<String>) -> ApiError {
    ApiError::new(
        Code::Unavailable,
        "the server cannot keep the capture while it reads it, perhaps its disk is full: its log has more",
    )
    .with_log(log)
}
