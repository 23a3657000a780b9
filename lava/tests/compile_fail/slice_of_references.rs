//! A loan is not written with references, which mean nothing in another process.
use lava::Loan;

fn write(loan: &mut Loan) -> lava::Result<&mut [&'static str]> {
    loan.slice_mut::<&'static str>()
}

fn main() {}
