//! Every developer command of this project. CI calls only these.
//!
//! `flags` lists the commands, and each has a file or folder of its own. `install` installs missing
//! programs.

mod bench;
mod build;
mod build_ebpf;
mod cgroup;
mod command;
mod docker;
mod flags;
mod fuzz;
mod image;
mod install;
mod log;
mod process;
mod project;
mod service;
mod services;
mod simulate;
mod test;
mod tools;
mod ui;
mod up;
mod vm;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let result = match flags::Xtask::parse().command {
        flags::Command::Up(flags) => up::run(&flags),
        flags::Command::BuildEbpf => build_ebpf::run(),
        flags::Command::Build(flags) => build::run(&flags),
        flags::Command::Ui => ui::run(),
        flags::Command::Test(flags) => test::run(&flags),
        flags::Command::Bench(flags) => bench::run(&flags),
        flags::Command::Fuzz(flags) => fuzz::run(&flags),
        flags::Command::Image => image::run(),
        flags::Command::Services(flags) => services::run(&flags),
        flags::Command::Simulate(flags) => simulate::run(&flags),
        flags::Command::Soak(flags) => test::soak(&flags),
        flags::Command::Tools(flags) => tools::run(&flags),
        flags::Command::Vm(flags) => vm::run(&flags),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
