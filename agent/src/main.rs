//! Entry point of `bubble-agent`.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use bubble_agent::config::{Cli, Command, Config};
use bubble_agent::{analyse, doctor, run};
use clap::Parser as _;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("BUBBLE_LOG")
                .unwrap_or_else(|_| "info".into()),
        )
        .init();
    let result = Config::resolve(cli.flags).and_then(|config| match cli.command {
        None => run::run(&config).map(|()| ExitCode::SUCCESS),
        Some(Command::Doctor { json }) => doctor::run(&config, json).map(|well| match well {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }),
        Some(Command::Analyse(flags)) => analyse::run(&config, &flags).map(ExitCode::from),
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bubble-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}
