//! `lava ls`: the live channels of this user, as their producers tell of them.

use std::collections::HashMap;
use std::io::{IsTerminal, stdout};
use std::time::{Duration, Instant};

use lava::Context;
use serde::{Deserialize, Serialize};

use crate::failure::{Doing, Failure};
use crate::table::{Align, Table};
use crate::units::{format_rate, format_size, parse_duration};
use crate::{interrupt, output};

/// Arguments of `lava ls`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Show the channels again and again, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Time over which rates are taken, and between two lists of --watch
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    interval: Duration,
}

/// How long a producer may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// A channel; one whose producer does not answer has its name and the error only.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Channel {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten, default)]
    producer: Option<Producer>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Producer {
    process: u32,
    policy: String,
    capacity: u64,
    queue_length: u64,
    max_frame_size: u64,
    memory: String,
    frames: u64,
    dropped_unheard: u64,
    #[serde(default)]
    frames_per_second: f64,
    connections: Vec<Connection>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Connection {
    transport: String,
    reason: String,
    copies: u32,
    peer_process: u32,
    peer: String,
    frames: u64,
    bytes: u64,
    dropped: u64,
    queued: u64,
    /// The consumer has gone and its end is being cleared away.
    #[serde(default)]
    detached: bool,
    #[serde(default)]
    frames_per_second: f64,
}

/// All channels at one moment.
struct Snapshot {
    taken: Instant,
    channels: Vec<Channel>,
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    if json && arguments.watch {
        return Err(Failure::Usage(
            "--json writes one document; use it without --watch".to_owned(),
        ));
    }
    let context = Context::new()?;
    let mut before = Snapshot::take(&context)?;
    loop {
        let waited = wait(arguments.interval);
        if arguments.watch && waited.is_err() {
            return Ok(());
        }
        waited?;
        let now = Snapshot::take(&context)?;
        let channels = with_rates(&before, &now);
        if json {
            return output::write_json(&channels);
        }
        show(&channels, arguments.watch)?;
        if !arguments.watch {
            return Ok(());
        }
        before = now;
    }
}

fn wait(time: Duration) -> Result<(), Failure> {
    let end = Instant::now() + time;
    loop {
        interrupt::check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(interrupt::SLICE));
    }
}

impl Snapshot {
    fn take(context: &Context) -> Result<Self, Failure> {
        let list = context.list_channels(PATIENCE)?;
        let mut channels: Vec<Channel> =
            serde_json::from_str(&list).doing("reading the list of channels")?;
        channels.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Snapshot { taken: Instant::now(), channels })
    }
}

/// The channels of `now` with the rates since `before`. What was not there before has none.
fn with_rates(before: &Snapshot, now: &Snapshot) -> Vec<Channel> {
    let seconds = now.taken.duration_since(before.taken).as_secs_f64();
    let known = before
        .channels
        .iter()
        .filter_map(|channel| Some((&channel.name, channel.producer.as_ref()?)));
    let known: HashMap<&String, &Producer> = known.collect();
    let mut channels = now.channels.clone();
    for channel in &mut channels {
        let Some(producer) = &mut channel.producer else { continue };
        let Some(old) = known.get(&channel.name).filter(|old| old.process == producer.process)
        else {
            continue;
        };
        let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
        producer.frames_per_second = rate(producer.frames, old.frames);
        for connection in &mut producer.connections {
            // One consumer can open a channel twice: the one that has come this far.
            let earlier = old.connections.iter().filter(|old| old.peer == connection.peer);
            if let Some(earlier) =
                earlier.filter(|old| old.frames <= connection.frames).max_by_key(|old| old.frames)
            {
                connection.frames_per_second = rate(connection.frames, earlier.frames);
            }
        }
    }
    channels
}

const COLUMNS: [(&str, Align); 9] = [
    ("channel", Align::Left),
    ("producer", Align::Right),
    ("slots", Align::Left),
    ("policy", Align::Left),
    ("consumer", Align::Right),
    ("transport", Align::Left),
    ("frames", Align::Right),
    ("queued", Align::Right),
    ("dropped", Align::Right),
];

fn show(channels: &[Channel], watch: bool) -> Result<(), Failure> {
    let mut table = Table::new(&COLUMNS);
    for channel in channels {
        rows(channel, &mut table);
    }
    let text = if channels.is_empty() { "no channels\n".to_owned() } else { table.render() };
    // Home, and clear to the end of the screen.
    let clear = if watch && stdout().is_terminal() { "\x1b[H\x1b[J" } else { "" };
    let gap = if watch && clear.is_empty() { "\n" } else { "" };
    output::write(&format!("{clear}{text}{gap}"))
}

fn rows(channel: &Channel, table: &mut Table) {
    let Some(producer) = &channel.producer else {
        let error = channel.error.as_deref().unwrap_or("no answer");
        table.row([format!("{} ({error})", channel.name)]);
        return;
    };
    let head = [
        channel.name.clone(),
        producer.process.to_string(),
        format!(
            "{} × {} {}",
            producer.capacity,
            format_size(producer.max_frame_size),
            producer.memory
        ),
        producer.policy.clone(),
    ];
    if producer.connections.is_empty() {
        let rest = ["none".to_owned(), String::new(), format_rate(producer.frames_per_second)];
        let dropped = [String::new(), producer.dropped_unheard.to_string()];
        table.row(head.into_iter().chain(rest).chain(dropped));
        return;
    }
    for (index, connection) in producer.connections.iter().enumerate() {
        let head = if index == 0 { head.clone() } else { Default::default() };
        let state = if connection.detached { " (gone)" } else { "" };
        table.row(head.into_iter().chain([
            format!("{}{state}", connection.peer_process),
            connection.transport.clone(),
            format_rate(connection.frames_per_second),
            connection.queued.to_string(),
            connection.dropped.to_string(),
        ]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(frames: u64) -> Vec<Channel> {
        let text = format!(
            r#"[{{"name":"a","process":1,"policy":"block","capacity":8,"queue_length":64,"max_frame_size":1024,
            "memory":"standard","frames":{frames},"dropped_unheard":0,"connections":[{{"transport":"shm","reason":"r",
            "copies":0,"peer_process":2,"peer":"p","frames":{frames},"bytes":0,"dropped":0,"queued":0,
            "detached":false}}]}},{{"name":"b","error":"the producer does not answer"}}]"#
        );
        serde_json::from_str(&text).expect("channels")
    }

    #[test]
    fn rates_come_of_two_lists() {
        let start = Instant::now();
        let before = Snapshot { taken: start, channels: channels(100) };
        let now = Snapshot { taken: start + Duration::from_millis(500), channels: channels(150) };
        let channels = with_rates(&before, &now);
        let producer = channels[0].producer.as_ref().expect("producer");
        assert_eq!(producer.frames_per_second, 100.0);
        assert_eq!(producer.connections[0].frames_per_second, 100.0);
    }

    #[test]
    fn a_producer_that_does_not_answer_is_listed_with_the_reason() {
        let channels = channels(0);
        assert!(channels[1].producer.is_none());
        let mut table = Table::new(&COLUMNS);
        rows(&channels[1], &mut table);
        assert!(table.render().contains("b (the producer does not answer)"));
    }
}
