//! conformance_rust list | producer NAME CHANNEL | consumer NAME CHANNEL: see ../scenarios.txt.

mod batches;
mod buffers;
mod common;
mod connecting;
mod descriptors;
mod device_channels;
mod devices;
mod frames;
mod lifetime;
mod metadata;
mod telling;
mod waiting;

use std::process::ExitCode;

struct Scenario {
    name: &'static str,
    producer: fn(&str),
    consumer: fn(&str),
}

/// `MODULE: NAME ...;` where each module has, for each of its names, a module with `producer` and `consumer`.
macro_rules! scenarios {
    ($($file:ident: $($name:ident)*;)*) => {
        const SCENARIOS: &[Scenario] = &[$($(Scenario {
            name: stringify!($name),
            producer: $file::$name::producer,
            consumer: $file::$name::consumer,
        },)*)*];
    };
}

scenarios! {
    frames: order two_consumers stream sizes sizes_copied sizes_tagged huge_frame alignment loan_discarded set_size
        read_write read_only;
    metadata: metadata tensor tensor_refused;
    batches: batch_bytes batch_loans release_order release_thread;
    buffers: send_buffer send_buffer_refused wait_released;
    waiting: wait_timeouts block_nobody block_slots block_queue block_after_leaving drop_newest drop_oldest drop_slots
        late_joiner event_fd;
    lifetime: frame_after_consumer frame_after_producer frames_after_context closed peer_lost consumer_lost reopen
        forked;
    connecting: consumer_first consumers_max name_rules name_clash two_contexts same_process ping_pong;
    devices: device_buffer device_import;
    device_channels: device_frames device_staged device_no_vulkan device_both device_wanted
        device_wanted_staged device_after_producer
        device_fallback;
    telling: require describe list_channels scope;
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["list"] => SCENARIOS.iter().for_each(|scenario| println!("{}", scenario.name)),
        [role @ ("producer" | "consumer"), name, channel] => {
            let Some(scenario) = SCENARIOS.iter().find(|scenario| scenario.name == name) else {
                eprintln!("no scenario {name}");
                return ExitCode::from(2);
            };
            let play = if role == "producer" { scenario.producer } else { scenario.consumer };
            play(channel);
        }
        _ => {
            eprintln!(
                "usage: conformance_rust list | producer NAME CHANNEL | consumer NAME CHANNEL"
            );
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
