//! A loan that was sent is no longer the sender's.
use lava::{Loan, Producer};

fn twice(producer: &mut Producer, loan: Loan) {
    let _ = producer.send(loan);
    let _ = producer.send(loan);
}

fn main() {}
