//! A loan's bytes cannot be written after it was sent.
use lava::{Loan, Producer};

fn late(producer: &mut Producer, mut loan: Loan) -> lava::Result<()> {
    let bytes = loan.bytes_mut()?;
    producer.send(loan)?;
    bytes[0] = 1;
    Ok(())
}

fn main() {}
