//! Messages of the rendezvous socket: decoding, and the numbers of a producer.
#![no_main]

use lava_sys::internals::channel::connect::check_geometry;
use lava_sys::internals::wire::{self, Head, Message, kind};
use libfuzzer_sys::fuzz_target;

const KINDS: &[u16] = &[
    kind::HELLO_ATTACH,
    kind::HELLO_LIST,
    kind::WELCOME,
    kind::ATTACH,
    kind::READY,
    kind::DETACH,
    kind::EVENT,
    kind::BUFFER,
];

fn welcome(welcome: &wire::Welcome) {
    let _ = (wire::get_text(&welcome.reason), wire::get_text(&welcome.location));
    if check_geometry(welcome).is_ok() {
        // What the consumer relies on from here: the last slot's last byte lies in the pool, sizes do not overflow.
        let last = u64::from(welcome.capacity - 1) * welcome.stride;
        assert!(last + welcome.max_frame_size <= welcome.pool_size);
        let on_device = welcome.recipe != wire::Recipe::default();
        assert!(!on_device || welcome.pool_size <= welcome.recipe.allocation_size);
        assert!(welcome.queue_length.is_power_of_two() && welcome.release_length.is_power_of_two());
        assert!(wire::descriptor_region_size(welcome.queue_length) < 1 << 30);
        assert!(wire::consumer_region_size(welcome.release_length) < 1 << 30);
    }
}

fuzz_target!(|bytes: &[u8]| {
    // As it is, and with the head that would let it in.
    let mut dressed = bytes.to_vec();
    if bytes.len() >= size_of::<Head>() {
        let kind = KINDS[usize::from(bytes[6]) % KINDS.len()];
        let size = bytes.len() as u32;
        let head = Head { magic: wire::MAGIC, version: wire::VERSION, kind, size, descriptors: 0 };
        dressed[..size_of::<Head>()].copy_from_slice(bytemuck::bytes_of(&head));
    }
    for bytes in [bytes, &dressed] {
        if let Ok(hello) = wire::Hello::decode(bytes, KINDS) {
            let texts = [&hello.name[..], &hello.location, &hello.reason];
            let _ = texts.map(wire::get_text);
        }
        if let Ok(message) = wire::Welcome::decode(bytes, KINDS) {
            welcome(&message);
        }
        let _ = wire::Attach::decode(bytes, KINDS);
        let _ = wire::Plain::decode(bytes, KINDS);
        let _ = wire::Detach::decode(bytes, KINDS);
        let _ = wire::Buffer::decode(bytes, KINDS);
    }
});
