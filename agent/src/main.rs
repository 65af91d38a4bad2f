//! Entry point of `bubble-agent`.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use bubble_agent::cli::{Cli, Command};
use bubble_agent::config::Config;
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
    let result = Config::resolve(cli.settings).and_then(|config| match cli.command {
        None => run::run(&config).map(|()| ExitCode::SUCCESS),
        Some(Command::Doctor { verbose, json }) => {
            let format = match (json, verbose) {
                (true, _) => doctor::Format::Json,
                (false, true) => doctor::Format::Verbose,
                (false, false) => doctor::Format::Short,
            };
            doctor::run(&config, format).map(|well| match well {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        }
        Some(Command::Analyse(flags)) => analyse::run(&config, &flags).map(ExitCode::from),
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bubble-agent: {}", text_of(&error));
            ExitCode::FAILURE
        }
    }
}

/// The text of an error with its causes. A text that already ends with that of its cause is not
/// repeated.
fn text_of(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        match text.as_str() {
            "" => cause,
            known if known.ends_with(&cause) => text,
            known => format!("{known}: {cause}"),
        }
    })
}
