//! The rule of `struct_size`, the same for every struct that has one.

use std::marker::PhantomData;

use crate::calls::*;

use crate::world::{Sized32, crooked, name};

const TAIL: usize = 64;

/// A struct in memory that is large enough for every size a caller may claim.
struct Claimed<T> {
    words: Vec<u64>,
    kind: PhantomData<T>,
}

impl<T: Sized32> Claimed<T> {
    fn new(value: T, size: usize, tail: u8) -> Self {
        let mut words = vec![0_u64; 8192 / 8];
        let bytes = words.as_mut_ptr().cast::<u8>();
        unsafe {
            bytes.add(size_of::<T>()).write_bytes(tail, TAIL);
            bytes.cast::<T>().write(value);
            bytes.cast::<u32>().write(size as u32);
        }
        Self { words, kind: PhantomData }
    }

    fn pointer(&mut self) -> *mut T {
        self.words.as_mut_ptr().cast()
    }

    fn bytes(&self) -> &[u8] {
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), size_of::<T>() + TAIL) }
    }
}

fn wrong_sizes<T: Sized32>() -> [usize; 5] {
    [0, 3, T::FIRST - 1, 5000, u32::MAX as usize]
}

/// Checks a call that reads a struct; `value` must be a right one, and the call repeatable.
pub(crate) fn check_options<T: Sized32>(value: T, mut call: impl FnMut(*const T) -> lava_status) {
    let kind = std::any::type_name::<T>();
    for size in wrong_sizes::<T>() {
        let found = call(Claimed::new(value, size, 0).pointer());
        assert_eq!(name(found), "LAVA_ERROR_INVALID_ARGUMENT", "{kind} with struct_size {size}");
    }
    let mut right = Claimed::new(value, size_of::<T>(), 0xff);
    assert_eq!(
        name(call(right.pointer())),
        "LAVA_OK",
        "{kind}: bytes after the struct are not its own"
    );
    let mut first = Claimed::new(value, T::FIRST, 0);
    assert_eq!(name(call(first.pointer())), "LAVA_OK", "{kind}: a caller of the first version");
    let newer = size_of::<T>() + TAIL;
    let mut zero = Claimed::new(value, newer, 0);
    assert_eq!(name(call(zero.pointer())), "LAVA_OK", "{kind}: a newer caller, new fields zero");
    let mut used = Claimed::new(value, newer, 1);
    assert_eq!(
        name(call(used.pointer())),
        "LAVA_ERROR_UNSUPPORTED",
        "{kind}: a newer caller, new fields used"
    );
    let found = call(crooked(right.pointer()));
    assert_eq!(name(found), "LAVA_ERROR_INVALID_POINTER", "{kind}: misaligned");
}

/// Checks a call that fills a struct; the call must be repeatable.
pub(crate) fn check_info<T: Sized32>(value: T, mut call: impl FnMut(*mut T) -> lava_status) {
    let kind = std::any::type_name::<T>();
    for size in wrong_sizes::<T>() {
        let mut claimed = Claimed::new(value, size, 0xaa);
        let before = claimed.bytes().to_vec();
        let found = call(claimed.pointer());
        assert_eq!(name(found), "LAVA_ERROR_INVALID_ARGUMENT", "{kind} with struct_size {size}");
        assert!(claimed.bytes() == before, "{kind}: written although the call failed");
    }
    let mut right = Claimed::new(value, size_of::<T>(), 0xaa);
    assert_eq!(name(call(right.pointer())), "LAVA_OK", "{kind}");
    assert_eq!(
        right.words[0] as u32 as usize,
        size_of::<T>(),
        "{kind}: struct_size is the caller's"
    );
    assert!(
        right.bytes()[size_of::<T>()..].iter().all(|byte| *byte == 0xaa),
        "{kind}: written past its end"
    );
    let mut first = Claimed::new(value, T::FIRST, 0xaa);
    let before = first.bytes()[T::FIRST..].to_vec();
    assert_eq!(name(call(first.pointer())), "LAVA_OK", "{kind}: a caller of the first version");
    assert!(first.bytes()[T::FIRST..] == before, "{kind}: written past its first version");
    let mut newer = Claimed::new(value, size_of::<T>() + TAIL, 0xaa);
    assert_eq!(name(call(newer.pointer())), "LAVA_OK", "{kind}: a newer caller");
    assert!(
        newer.bytes()[size_of::<T>()..].iter().all(|byte| *byte == 0),
        "{kind}: unknown fields are not zero"
    );
    assert_eq!(name(call(std::ptr::null_mut())), "LAVA_ERROR_INVALID_POINTER", "{kind}: NULL");
    assert_eq!(
        name(call(crooked(right.pointer()))),
        "LAVA_ERROR_INVALID_POINTER",
        "{kind}: misaligned"
    );
}
