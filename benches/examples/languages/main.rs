//! What a language costs: the same calls of one `liblava.so` from C, C++ and Rust, and the same ping-pong between two
//! processes of each, in rounds that alternate.
//!
//! `cargo run --release -p lava-benches --example languages -- PREFIX [ROUNDS]`, where PREFIX is an installed lava
//! (doc/install.md, with `-DCMAKE_BUILD_TYPE=Release`). The programs are compiled with `cc -O2` and `c++ -O2`.
//!
//! Targets: a call from C within 5 ns of the same from Rust; the ping-pong in C++ within 3 % of that in C. C runs twice: how
//! it differs from itself is what the machine cannot tell apart. Where there is valgrind, instructions are counted too.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark fails by panicking"
)]

mod library;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use library::{Calls, Library, open, ping, pong};

const CALLS: [&str; 4] =
    ["lava_abi_version", "lava_frame_size", "lava_frame_data", "send, receive, release"];
/// Small, so that on a machine that does something else too many rounds pass without being interrupted.
const CALL_COUNT: u64 = 100_000;
const TRIP_COUNT: u64 = 1_000;

/// A process that measures on order.
struct Part {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Part {
    fn start(program: &Path, arguments: &[&str], runtime: &Path, cpu: usize) -> Self {
        let mut command = Command::new("taskset");
        command.args(["-c", &cpu.to_string()]).arg(program).args(arguments);
        command.env("LAVA_RUNTIME_DIR", runtime).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("taskset runs");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("piped"));
        Self { child, input, output: BufReader::new(output) }
    }

    /// Nanoseconds of one, of so many.
    fn time(&mut self, name: &str, count: u64) -> f64 {
        let name = name.split(',').next().unwrap_or(name);
        writeln!(self.input.as_mut().expect("open"), "{name} {count}").expect("it runs");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        line.trim().parse().expect("nanoseconds")
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

fn compile(compiler: &str, source: &str, prefix: &Path, to: &Path) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/languages");
    let program = to.join(source.replace('.', "_"));
    let library = prefix.join("lib");
    let mut command = Command::new(compiler);
    command.arg("-O2").arg(here.join(source)).arg("-o").arg(&program);
    command.arg(format!("-I{}", prefix.join("include").display()));
    command.arg(format!("-L{}", library.display())).arg("-llava");
    command.arg(format!("-Wl,-rpath,{}", library.display()));
    assert!(command.status().expect("a compiler").success(), "{command:?}");
    program
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The languages, and C once more: how the one C differs from the other is what the machine cannot tell apart.
const PARTS: usize = 4;

/// One line of the table: what each part takes, and how the others differ from C in the same round.
struct Row {
    times: [Vec<f64>; PARTS],
    to_c: [Vec<f64>; PARTS - 1],
}

impl Row {
    /// Measures in rounds in which every part has its turn, first another one each time.
    fn measure(
        parts: &mut [Part; PARTS],
        name: &str,
        count: u64,
        rounds: usize,
        compare: fn(f64, f64) -> f64,
    ) -> Self {
        let mut row = Self { times: Default::default(), to_c: Default::default() };
        for round in 0..rounds {
            let mut found = [0.0; PARTS];
            for turn in 0..PARTS {
                let part = (round + turn) % PARTS;
                found[part] = parts[part].time(name, count);
            }
            let [c, others @ ..] = found;
            row.times.iter_mut().zip(found).for_each(|(list, time)| list.push(time));
            row.to_c.iter_mut().zip(others).for_each(|(list, time)| list.push(compare(time, c)));
        }
        row
    }

    /// Medians.
    fn print(mut self, name: &str, decimals: usize) {
        let [c, cpp, rust, _] = self.times.each_mut().map(|list| median(list));
        print!("{name:24} {c:8.1} {cpp:8.1} {rust:8.1}");
        for mut list in self.to_c {
            print!(" {:9.decimals$}", median(&mut list));
        }
        println!();
    }
}

fn print_head(what: &str, operator: char) {
    let to_c = ["C++", "Rust", "C"].map(|name| format!("{name} {operator} C"));
    let [cpp, rust, c] = to_c;
    println!("{what:24} {:>8} {:>8} {:>8} {cpp:>9} {rust:>9} {c:>9}", "C", "C++", "Rust");
}

fn compare_calls(programs: &[PathBuf; 3], library: &Path, runtime: &Path, rounds: usize) {
    let library = library.to_str().expect("UTF-8");
    // Each in a directory of its own: their channels have the same names.
    let [c, cpp, rust] = programs;
    let mut parts = [
        Part::start(c, &["calls"], &runtime.join("c"), 0),
        Part::start(cpp, &["calls"], &runtime.join("cpp"), 0),
        Part::start(rust, &["calls", library], &runtime.join("rust"), 0),
        Part::start(c, &["calls"], &runtime.join("again"), 0),
    ];
    print_head("ns a call", '-');
    for name in CALLS {
        let row = Row::measure(&mut parts, name, CALL_COUNT, rounds, |time, c| time - c);
        row.print(name, 2);
    }
}

fn compare_trips(programs: &[PathBuf; 3], runtime: &Path, rounds: usize) {
    let mut answering = Vec::new();
    let [c, cpp, rust] = programs;
    let mut parts =
        [("c", c), ("cpp", cpp), ("rust", rust), ("again", c)].map(|(name, program)| {
            let first = Part::start(program, &["ping", name], runtime, 0);
            answering.push(Part::start(program, &["pong", name], runtime, 1));
            first
        });
    println!();
    print_head("ns a round trip", '/');
    let row = Row::measure(&mut parts, "trip", TRIP_COUNT, rounds, |time, c| time / c);
    row.print("8 B, two processes", 3);
    // Those that answer end when their channel does.
    drop(parts);
}

/// Orders on standard input, answers on standard output.
fn answer_orders(mut time: impl FnMut(&str, u64) -> lava::Result<f64>) -> lava::Result<()> {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let (name, count) = line.rsplit_once(' ').expect("an order");
        println!("{}", time(name, count.parse().expect("a number"))?);
    }
    Ok(())
}

/// Instructions that valgrind counts in a run with so many of the last of `CALLS`; None without valgrind.
fn count_instructions(program: &Path, count: u64, runtime: &Path) -> Option<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program).arg("calls");
    command.env("LAVA_RUNTIME_DIR", runtime).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.stdout(Stdio::null()).spawn().ok()?;
    writeln!(child.stdin.take()?, "send {count}").ok()?;
    let output = child.wait_with_output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

/// What no other work of the machine can disturb: the instructions of one call.
fn compare_instructions(programs: &[PathBuf; 3], runtime: &Path) {
    let one = |program| {
        let few = count_instructions(program, 1000, runtime)?;
        let more = count_instructions(program, 11_000, runtime)?;
        Some(more.saturating_sub(few) as f64 / 10_000.0)
    };
    println!();
    match (one(&programs[0]), one(&programs[1])) {
        (Some(c), Some(cpp)) => {
            println!("{:24} {c:8.1} {cpp:8.1}", "instructions, the same");
        }
        _ => println!("no instructions: install valgrind"),
    }
}

/// What `compare` starts; for "calls" the second argument is the library.
fn serve(role: &str, argument: &str) -> lava::Result<()> {
    if role == "calls" {
        let mut calls = Calls::new(Library::open(Path::new(argument)).expect("liblava.so"));
        return answer_orders(|name, count| Ok(calls.time(name, count)));
    }
    if role == "pong" {
        let (mut producer, mut consumer) = open(argument, "pong", "ping")?;
        return pong(&mut producer, &mut consumer);
    }
    let (mut producer, mut consumer) = open(argument, "ping", "pong")?;
    answer_orders(|_, count| ping(&mut producer, &mut consumer, count))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [role @ ("calls" | "ping" | "pong"), argument] => serve(role, argument).expect("a channel"),
        [prefix] => compare(Path::new(prefix), 201),
        [prefix, rounds] => compare(Path::new(prefix), rounds.parse().expect("a number of rounds")),
        _ => panic!("usage: languages PREFIX [ROUNDS]"),
    }
}

fn compare(prefix: &Path, rounds: usize) {
    let directory = tempfile::tempdir().unwrap();
    let runtime = directory.path().join("run");
    let [c, cpp] = [("cc", "program.c"), ("c++", "program.cpp")]
        .map(|(compiler, source)| compile(compiler, source, prefix, directory.path()));
    let programs = [c, cpp, std::env::current_exe().expect("this program")];
    compare_calls(&programs, &prefix.join("lib/liblava.so"), &runtime.join("calls"), rounds);
    compare_trips(&programs, &runtime.join("trips"), rounds);
    compare_instructions(&programs, &runtime.join("count"));
}
