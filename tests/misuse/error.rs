//! `lava_error`, the last argument of most functions, by the example of one that fails.

use std::ffi::{CStr, c_char};
use std::mem::offset_of;
use std::ptr::null_mut;

use crate::calls::*;

use crate::gives;
use crate::world::{crooked, sized};

fn failing_call(error: *mut lava_error) -> lava_status {
    let mut location = sized();
    unsafe { lava_location_parse(c"nowhere".as_ptr(), &mut location, error) }
}

fn marked(struct_size: usize) -> Vec<u64> {
    let mut words = vec![0xaaaa_aaaa_aaaa_aaaa_u64; 8192 / 8];
    words[0] = (words[0] & !0xffff_ffff) | struct_size as u64;
    words
}

fn bytes(words: &[u64]) -> &[u8] {
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len() * 8) }
}

#[test]
fn it_may_be_null_or_useless() {
    gives! {
        failing_call(null_mut()) => LAVA_ERROR_INVALID_ARGUMENT;
        failing_call(crooked(&sized::<lava_error>())) => LAVA_ERROR_INVALID_ARGUMENT;
    }
    for size in [0, 3] {
        let mut words = marked(size);
        gives! { failing_call(words.as_mut_ptr().cast()) => LAVA_ERROR_INVALID_ARGUMENT; }
        assert!(words == marked(size), "struct_size {size}: written");
    }
}

#[test]
fn it_gets_as_much_as_it_says() {
    let header = offset_of!(lava_error, message);
    for size in [header, header + 1, header + 10, size_of::<lava_error>(), 5000] {
        let mut words = marked(size);
        gives! { failing_call(words.as_mut_ptr().cast()) => LAVA_ERROR_INVALID_ARGUMENT; }
        let found = bytes(&words);
        assert_eq!(
            found[4..8],
            LAVA_ERROR_INVALID_ARGUMENT.to_ne_bytes(),
            "struct_size {size}: status"
        );
        let end = size.min(size_of::<lava_error>());
        assert!(
            found[end..].iter().all(|byte| *byte == 0xaa),
            "struct_size {size}: written past its end"
        );
        if size > header {
            assert!(found[header..end].contains(&0), "struct_size {size}: the message has no end");
        }
    }
}

#[test]
fn it_tells_what_was_wrong_and_only_then() {
    let mut error: lava_error = sized();
    gives! { failing_call(&mut error) => LAVA_ERROR_INVALID_ARGUMENT; }
    assert_eq!((error.status, error.vk_result), (LAVA_ERROR_INVALID_ARGUMENT, 0));
    let text = unsafe { CStr::from_ptr(error.message.as_ptr()) }.to_str().expect("UTF-8");
    assert!(text.len() > 10, "{text}");

    let mut words = marked(size_of::<lava_error>());
    let mut context = null_mut();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = std::ffi::CString::new(directory.path().to_str().expect("UTF-8")).expect("no NUL");
    let options = lava_context_options { runtime_directory: path.as_ptr(), ..sized() };
    gives! { lava_context_create(&options, &mut context, words.as_mut_ptr().cast()) => LAVA_OK; }
    assert!(words == marked(size_of::<lava_error>()), "written by a call that succeeded");
    unsafe { lava_context_destroy(context) };
}

/// 5000 bytes of name would not fit into the message: it is cut at the end of a character.
#[test]
fn a_long_message_is_cut_at_a_character() {
    let world = crate::world::World::new();
    let name = std::ffi::CString::new("\u{e9}".repeat(1000)).expect("no NUL");
    let (mut error, mut producer) = (sized::<lava_error>(), null_mut());
    gives! {
        lava_producer_create(world.context, name.as_ptr(), std::ptr::null(), &mut producer, &mut error)
            => LAVA_ERROR_INVALID_ARGUMENT;
    }
    let end = error.message.iter().position(|byte| *byte == 0 as c_char).expect("an end");
    let text: Vec<u8> = error.message[..end].iter().map(|byte| *byte as u8).collect();
    assert!(String::from_utf8(text).is_ok(), "the message is not UTF-8");
}
