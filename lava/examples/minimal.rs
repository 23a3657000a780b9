//! Three frames from one process to any others: `minimal` receives, `minimal send` sends.

use lava::{Consumer, ConsumerOptions, Context, Producer, ProducerOptions};

fn main() -> lava::Result<()> {
    let context = Context::new()?;
    if std::env::args().nth(1).as_deref() == Some("send") {
        let mut producer = Producer::create(&context, "numbers", &ProducerOptions::new())?;
        for number in 0..3u32 {
            let mut loan = producer.loan_slice::<u32>(1000)?; // in memory that the receivers map
            loan.slice_mut::<u32>()?.fill(number);
            producer.send(loan)?; // waits until a receiver is there
        }
    } else {
        let mut consumer = Consumer::open(&context, "numbers", &ConsumerOptions::new())?;
        println!("{}", consumer.connection()?.reason);
        for frame in &mut consumer {
            let frame = frame?; // the very same memory; dropping it gives it back
            let mut first = [0];
            frame.read_at(0, &mut first)?;
            println!("frame {}: {} bytes of {}", frame.info().sequence, frame.len(), first[0]);
        }
    }
    Ok(())
}
