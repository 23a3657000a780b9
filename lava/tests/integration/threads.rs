//! What may cross threads, as the header's Threads lines say.

use lava::*;
use static_assertions::{assert_impl_all, assert_not_impl_any};

// "any thread", also several at once.
assert_impl_all!(Context: Send, Sync);
assert_impl_all!(Buffer: Send, Sync);
assert_impl_all!(BufferHandle: Send, Sync);
assert_impl_all!(Location: Send, Sync);
// "any thread" for reading; writing a loan takes `&mut`.
assert_impl_all!(Frame: Send, Sync);
assert_impl_all!(Loan: Send, Sync);
assert_impl_all!(Frames: Send, Sync);
assert_impl_all!(Loans: Send, Sync);
// "one thread at a time", and it may be another one each time.
assert_impl_all!(Producer: Send);
assert_not_impl_any!(Producer: Sync, Clone);
assert_impl_all!(Consumer: Send);
assert_not_impl_any!(Consumer: Sync, Clone);
// Owned by one.
assert_not_impl_any!(Frame: Clone, Copy);
assert_not_impl_any!(Loan: Clone, Copy);
// Plain data.
assert_impl_all!(Error: Send, Sync, std::error::Error);
assert_impl_all!(SendError: Send, std::error::Error);
assert_impl_all!(ContextOptions: Send, Sync, Clone, Default);
assert_impl_all!(ProducerOptions: Send, Sync, Clone, Default);
assert_impl_all!(ConsumerOptions: Send, Sync, Clone, Default);
assert_impl_all!(BufferOptions: Send, Sync, Clone);
assert_impl_all!(Tensor: Send, Sync, Copy);

/// Frames and loans own what they need.
#[test]
fn frames_borrow_nothing() {
    fn owned<T: Send + 'static>() -> usize {
        size_of::<T>()
    }
    assert_eq!(owned::<Loan>(), size_of::<usize>());
    assert!(owned::<Frame>() <= 2 * size_of::<usize>());
    // The answers of the hot path stay in registers.
    assert!(size_of::<Result<Option<Frame>>>() <= 2 * size_of::<usize>());
}
