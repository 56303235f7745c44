//! Ninewatch: an IoT edge gateway for smart communities.

mod audit;
mod backup;
mod brokers;
mod cli;
mod clock;
mod config;
mod console;
mod demo;
mod downlink;
mod duty;
mod engine;
mod epochs;
mod flash;
mod forward;
mod gateway;
mod health;
mod index;
mod intake;
mod journal;
mod lang;
mod logging;
mod metrics;
mod mqtt_client;
mod network;
mod notify;
mod parts;
mod pem;
mod people;
mod pins;
mod private;
mod registry_file;
mod scorer;
mod setup;
#[cfg(test)]
mod sim;
mod site_files;
mod support;
mod update;

use clap::Parser;
use std::process::ExitCode;

use cli::{Cli, Command};

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|command| command == scorer::CHECK_COMMAND) {
        return scorer::be_checked();
    }
    let cli = Cli::parse();
    cli.log();
    match run(cli.command, cli.lang) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has had enough: `ninewatch journal … | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", cli.lang.pick("错误", "error"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, lang: lang::Lang) -> anyhow::Result<()> {
    match command {
        Command::Demo(args) => block_on(demo::run(args, lang)),
        Command::Run(args) => block_on(cli::run::run(args, lang)),
        Command::Check(args) => cli::check::run(&args, lang),
        Command::Doctor(args) => cli::doctor::run(&args, lang),
        Command::Rule(args) => cli::rule::run(args, lang),
        Command::Model(args) => cli::model::run(&args, lang),
        Command::Replay(args) => cli::replay::run(&args, lang),
        Command::Evidence(args) => cli::evidence::run(args, lang),
        Command::Journal(args) => cli::journal::run(&args, false),
        Command::Quarantine(args) => cli::journal::run(&args, true),
        Command::Sensor(args) => cli::sensor::run(args, lang),
        Command::Place(args) => cli::registry::place(args, lang),
        Command::Device(args) => cli::registry::device(args, lang),
        Command::Node(args) => block_on(cli::node::run(args, lang)),
        Command::Account(args) => cli::account::run(&args, lang),
        Command::Cert(args) => cli::cert::run(&args, lang),
        Command::Audit(args) => cli::audit::run(args, lang),
        Command::Retention(args) => cli::retention::run(&args, lang),
        Command::Notify(args) => block_on(cli::notify::run(args, lang)),
        Command::Walk(args) => block_on(cli::walk::run(args, lang)),
        Command::Backup(args) => cli::backup::back_up(&args, lang),
        Command::Restore(args) => cli::backup::restore(&args, lang),
        Command::Flash(args) => cli::flash::run(&args, lang),
        Command::Support(args) => block_on(cli::support::run(args, lang)),
        Command::Launch(args) => update::launch(&args),
        Command::Update(args) => cli::update::run(&args, lang),
        Command::Release(args) => cli::release::run(&args, lang),
        Command::Host(args) => cli::host::run(&args),
        Command::Manual(args) => cli::manual::run(&args),
    }
}

fn block_on(task: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(task)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
