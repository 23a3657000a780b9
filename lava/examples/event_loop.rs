//! Receives from two channels and a timer in one thread, by epoll. The producers are a thread of this process. The same with
//! tokio: `asynchronous.rs`.

use std::os::fd::OwnedFd;

use lava::{Consumer, ConsumerOptions, Context, Producer, ProducerOptions, Received};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What the timer's events carry; those of channels carry their number.
const TIMER: u64 = u64::MAX;

struct Channel {
    name: String,
    /// None when the channel has ended.
    consumer: Option<Consumer>,
}

/// Takes all that is there, which arms the descriptor again. Whether the channel has ended.
fn drain(name: &str, consumer: &mut Consumer) -> Result<bool> {
    loop {
        match consumer.try_receive()? {
            Received::Frame(frame) => {
                let mut number = [0_u8];
                frame.read_at(0, &mut number)?;
                println!("{name}: {}", number[0]);
            }
            Received::Empty => return Ok(false),
            Received::Closed => return Ok(true),
        }
    }
}

/// Until all channels have ended.
fn run(poll: &OwnedFd, timer: &OwnedFd, channels: &mut [Channel]) -> Result<()> {
    let mut events = Vec::with_capacity(4);
    while channels.iter().any(|channel| channel.consumer.is_some()) {
        epoll::wait(poll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let number = event.data.u64();
            if number == TIMER {
                rustix::io::read(timer, &mut [0; 8])?;
                println!("the timer");
                continue;
            }
            let Some(channel) = channels.get_mut(number as usize) else { continue };
            let Some(consumer) = &mut channel.consumer else { continue };
            if drain(&channel.name, consumer)? {
                channel.consumer = None; // its descriptor goes out of the epoll with it
            }
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let context = Context::new()?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let never = Timespec { tv_sec: 0, tv_nsec: 0 };
    let soon =
        Itimerspec { it_interval: never, it_value: Timespec { tv_nsec: 1_000_000, ..never } };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &soon)?;
    epoll::add(&poll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;

    let (mut channels, mut producers) = (Vec::new(), Vec::new());
    for (number, side) in (0..).zip(["left", "right"]) {
        let name = format!("{side}-{}", std::process::id());
        producers.push(Producer::create(&context, &name, &ProducerOptions::new())?);
        let consumer = Consumer::open(&context, &name, &ConsumerOptions::new())?;
        epoll::add(&poll, consumer.event_fd()?, EventData::new_u64(number), EventFlags::IN)?;
        channels.push(Channel { name, consumer: Some(consumer) });
    }
    let writer = std::thread::spawn(move || -> lava::Result<()> {
        for number in 0..10 {
            for producer in &mut producers {
                producer.send_bytes(&[number])?;
            }
        }
        Ok(())
    });
    run(&poll, &timer, &mut channels)?;
    writer.join().map_err(|_| "the writer panicked")?.map_err(Into::into)
}
