//! A loan is written only with types that have no padding and no meaning of their own to this process.
use lava::Loan;

fn view<T: bytemuck::AnyBitPattern>(loan: &mut Loan) -> lava::Result<&mut [T]> {
    loan.slice_mut::<T>()
}

fn main() {}
