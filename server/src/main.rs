//! `bubble-server`: the program; all that it does is in the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match bubble_server::command::run(bubble_server::config::flags::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bubble-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}
