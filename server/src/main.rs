//! `bubble-server`: the program. Everything that it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    match bubble_server::config::parse().and_then(bubble_server::command::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bubble-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}
