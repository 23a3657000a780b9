//! `lava`: channels from the command line. One file or folder per subcommand; this one has the list and the exit
//! codes.
#![allow(
    unreachable_pub,
    reason = "in a program, `pub` says that a module offers it, and nothing leaves the crate"
)]

mod checksum;
mod child;
mod demo;
mod endpoint;
mod failure;
mod gpu;
mod info;
mod interrupt;
mod ls;
mod output;
mod perf;
mod progress;
mod recv;
mod send;
mod statistics;
mod stream;
mod table;
mod units;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use serde_json::json;

use failure::Failure;

/// Moves frames of memory between processes without copying.
///
/// Exit codes: 0 done, 1 failed or interrupted, 2 wrong arguments. Reports and JSON go to standard output,
/// progress, logs and errors to standard error. Processes meet in $LAVA_RUNTIME_DIR, else $XDG_RUNTIME_DIR/lava,
/// else /tmp/lava-<uid>; LAVA_LOG=error|warn|info|debug shows the library's log; LAVA_VULKAN=off uses no GPU, and cpu
/// also Vulkan devices that are the CPU in disguise.
#[derive(Debug, Parser)]
#[command(name = "lava", version)]
struct Arguments {
    /// Write one JSON document to standard output instead of text for people
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stream a file through one channel to two processes, verify it there, and show how fast that was
    Demo(demo::Arguments),
    /// Send a file or standard input to one or more receivers
    Send(send::Arguments),
    /// Receive what `lava send` sends
    Recv(recv::Arguments),
    /// Show what this machine offers: memory, limits, huge pages, NUMA, GPUs, and what to change
    Info(info::Arguments),
    /// List the live channels of this user
    Ls(ls::Arguments),
    /// Measure lava against the physical limits of this machine, in the same run
    Perf(perf::Arguments),
    #[command(hide = true)]
    DemoConsumer(demo::ConsumerArguments),
    #[command(hide = true)]
    PerfPeer(perf::PeerArguments),
    #[command(hide = true)]
    InfoGpus(info::ProbeArguments),
    #[command(hide = true)]
    InfoGpuPeer(info::PeerArguments),
}

#[allow(dead_code, reason = "where these sources are a library, `hosted` is called")]
fn main() -> ExitCode {
    ExitCode::from(command(std::env::args_os()))
}

/// Runs the command line within another program, such as Python; returns the exit code. `arguments` begins with the name of
/// the command, `program` starts it again, for helper processes.
#[allow(dead_code, reason = "called where these sources are a library")]
pub fn hosted(arguments: Vec<OsString>, program: Vec<OsString>) -> u8 {
    child::set_program(program);
    command(arguments)
}

fn command(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return parse_failure(&error),
    };
    match run(&arguments) {
        Ok(()) => 0,
        Err(failure) => {
            report(&failure, arguments.json);
            failure.exit_code()
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let json = arguments.json;
    match &arguments.command {
        Command::DemoConsumer(arguments) => return demo::consume(arguments),
        Command::PerfPeer(arguments) => return perf::answer(arguments),
        Command::InfoGpus(arguments) => return info::probe(arguments),
        Command::InfoGpuPeer(arguments) => return info::answer(arguments),
        _ => interrupt::install()?,
    }
    match &arguments.command {
        Command::Demo(arguments) => demo::run(arguments, json),
        Command::Send(arguments) => send::run(arguments, json),
        Command::Recv(arguments) => recv::run(arguments, json),
        Command::Info(arguments) => info::run(arguments, json),
        Command::Ls(arguments) => ls::run(arguments, json),
        Command::Perf(arguments) => perf::run(arguments, json),
        Command::DemoConsumer(_)
        | Command::PerfPeer(_)
        | Command::InfoGpus(_)
        | Command::InfoGpuPeer(_) => Ok(()),
    }
}

/// Help and version are no failures; everything else that the parser refuses is wrong use.
fn parse_failure(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            match output::write(&error.to_string()) {
                Ok(()) => 0,
                Err(failure) => failure.exit_code(),
            }
        }
        _ => {
            output::note(error.to_string().trim_end());
            2
        }
    }
}

fn report(failure: &Failure, json: bool) {
    match failure {
        Failure::ReaderGone | Failure::Reported => return,
        _ => output::note(format_args!("lava: {failure}")),
    }
    if json {
        // The exit code tells more than a second failure here could.
        let _ = output::write_json(&json!({ "error": failure.to_string() }));
    }
}
