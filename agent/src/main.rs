//! Entry point of `bubble-agent`.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use bubble_agent::cli::{Cli, Command};
use bubble_agent::config::Config;
use bubble_agent::config::settings::Settings;
use bubble_agent::launch::flags::Flags;
use bubble_agent::{analyse, doctor, launch, run};
use clap::Parser as _;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("BUBBLE_LOG")
                .unwrap_or_else(|_| log_level(&cli).into()),
        )
        .init();
    let Cli { command, settings } = cli;
    let result = match command {
        None => Config::resolve(settings)
            .and_then(|config| run::run(&config))
            .map(|()| ExitCode::SUCCESS),
        Some(Command::Run(flags)) => return launch(settings, &flags),
        Some(Command::Doctor { verbose, json }) => {
            let format = match (json, verbose) {
                (true, _) => doctor::Format::Json,
                (false, true) => doctor::Format::Verbose,
                (false, false) => doctor::Format::Short,
            };
            let well = Config::resolve(settings).and_then(|config| doctor::run(&config, format));
            well.map(|well| match well {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        }
        Some(Command::Unpin) => Config::resolve(settings)
            .and_then(|config| run::unpin(&config))
            .map(|()| ExitCode::SUCCESS),
        Some(Command::Analyse(flags)) => Config::resolve(settings)
            .and_then(|config| analyse::run(&config, &flags))
            .map(ExitCode::from),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bubble-agent: {}", text_of(&error));
            ExitCode::FAILURE
        }
    }
}

/// What is logged by default. Beside the output of a command only what went wrong is.
fn log_level(cli: &Cli) -> &'static str {
    match cli.command {
        Some(Command::Run(_)) => "warn",
        _ => "info",
    }
}

/// Runs a command. Its exit code is that of the agent.
fn launch(settings: Settings, flags: &Flags) -> ExitCode {
    let result = Config::resolve_given(settings).and_then(|config| launch::run(&config, flags));
    result.map_or_else(
        |error| {
            eprintln!("bubble-agent: {}", text_of(&error));
            ExitCode::from(launch::FAILED)
        },
        ExitCode::from,
    )
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
