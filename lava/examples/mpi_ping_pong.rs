//! Frames there and back between two ranks of an MPI job, on one host or two: `mpirun -n 2 mpi_ping_pong 1000`. The program
//! knows nothing of MPI; between ranks of one host the frames take shared memory.

use std::time::{Duration, Instant};

use lava::{Consumer, ConsumerOptions, Context, Location, Producer, ProducerOptions};

const WORDS: usize = 8192;
const MINUTE: Duration = Duration::from_secs(60);

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn send(producer: &mut Producer, number: u64) -> Outcome {
    let mut loan = producer.loan_slice::<u64>(WORDS)?;
    loan.slice_mut::<u64>()?.fill(number);
    Ok(producer.send(loan)?)
}

fn ping(producer: &mut Producer, consumer: &mut Consumer, count: u64) -> Outcome {
    let start = Instant::now();
    for number in 0..count {
        send(producer, number)?;
        let frame = consumer.receive()?.ok_or("the other rank ended early")?;
        let back = frame.copy_to_vec::<u64>()?;
        if back.len() != WORDS || back[WORDS - 1] != number {
            return Err("another frame came".into());
        }
    }
    let each = start.elapsed().as_secs_f64() / count as f64 * 1e6;
    let reason = consumer.connection()?.reason;
    println!("{count} round trips of {} bytes, {each:.1} us each: {reason}", WORDS * 8);
    Ok(())
}

fn pong(producer: &mut Producer, consumer: &mut Consumer) -> Outcome {
    while let Some(frame) = consumer.receive()? {
        send(producer, frame.copy_to_vec::<u64>()?[0])?;
    }
    Ok(())
}

fn main() -> Outcome {
    let count = std::env::args().nth(1).map_or(Ok(1000), |text| text.parse())?;
    let context = Context::new()?;
    // All ranks meet here.
    if context.peers(MINUTE)?.len() < 2 {
        return Err("start it as `mpirun -n 2 mpi_ping_pong`".into());
    }
    let rank = Location::current(&context)?.rank().unwrap_or(0);
    let (own, other) = match rank {
        0 => ("ping", "pong"),
        1 => ("pong", "ping"),
        _ => return Ok(()),
    };
    let mut producer = Producer::create(&context, own, &ProducerOptions::new())?;
    let mut consumer = Consumer::open(&context, other, &ConsumerOptions::new().timeout(MINUTE))?;
    if rank == 0 {
        ping(&mut producer, &mut consumer, count)
    } else {
        pong(&mut producer, &mut consumer)
    }
}
