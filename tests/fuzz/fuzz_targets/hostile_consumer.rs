//! The producer's end against a consumer that writes anything into its region, between any two calls. No slot may be
//! lost or free twice, whatever it claims to have released.
#![no_main]

use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock};

use lava_fuzz::{Hostile, Input, own_region, shared};
use lava_sys::internals::channel::connection::Connection;
use lava_sys::internals::channel::pool::Pool;
use lava_sys::internals::channel::routing::Route;
use lava_sys::internals::channel::shared::{NewConnection, Stats};
use lava_sys::internals::scope::Location;
use lava_sys::internals::transport::descriptor::{Descriptor, Origin, Place};
use lava_sys::internals::transport::ring::alarm::Fences;
use lava_sys::internals::transport::shm::{ConsumedProbe, ShmOutlet};
use lava_sys::internals::transport::{AnyOutlet, Transport};
use lava_sys::internals::wire;
use libfuzzer_sys::fuzz_target;

const QUEUE: u32 = 4;
const SLOTS: u32 = 6;

static PEER: LazyLock<Location> = LazyLock::new(|| Location::current(0, 0, 0));

fn connection(policy: u32) -> (Connection, Hostile) {
    let length = wire::release_length(SLOTS);
    let (hostile, theirs) = Hostile::new(wire::consumer_region_size(length));
    let (own, theirs) = (own_region(wire::descriptor_region_size(QUEUE)), shared(theirs));
    let outlet =
        ShmOutlet::new(own, Arc::clone(&theirs), QUEUE, length, Fences::Symmetric, Arc::default());
    let stats = Stats {
        id: 1,
        transport: Transport::Shm,
        route: Route {
            transport: Some(Transport::Shm),
            copies: 0,
            reason: String::new(),
            rejections: Vec::new(),
        },
        peer: PEER.clone(),
        peer_process: 1,
        consumed: ConsumedProbe::new(theirs),
        frames: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        dropped: AtomicU64::new(0),
        next: AtomicU64::new(0),
        detached: false.into(),
    };
    let socket: OwnedFd = std::fs::File::open("/dev/null").expect("a descriptor").into();
    let outlet = AnyOutlet::Shm(outlet);
    let new = NewConnection { id: 1, outlet, socket: Arc::new(socket), stats: Arc::new(stats) };
    (Connection::new(new, 1, SLOTS, policy), hostile)
}

/// Sends one frame as the producer does; false if there is no slot or no room.
fn send(connection: &mut Connection, pool: &mut Pool, small: bool) -> bool {
    if !connection.is_open() || connection.room(1) == 0 {
        return false;
    }
    if small {
        let origin = Origin::default();
        connection.push(&Descriptor::Inline { bytes: &[1, 2, 3], origin });
        return true;
    }
    let Some(slot) = pool.take() else { return false };
    let place = Place { slot, buffer: 0, offset: 0, size: 100, tensor: false, ready: 0 };
    connection.push(&Descriptor::Slot { place, origin: Origin::default() });
    pool.publish(slot, 1);
    true
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let (mut connection, hostile) = connection(u32::from(input.byte() % 3));
    let mut pool = Pool::new(SLOTS);
    let header = (size_of::<wire::ConsumerHeader>() / 8) as u64;
    let mut releases = 0_u64;
    while !input.is_empty() && !connection.broken {
        match input.byte() % 8 {
            0 => hostile.write(input.byte().into(), input.word()),
            // A release with the ticket that is due.
            1 => {
                let entry = header + releases % u64::from(wire::release_length(SLOTS)) * 2;
                let slot = u64::from(input.byte() % 8);
                hostile.write(entry + 1, u64::from(input.byte() % 16));
                hostile.write(entry, u64::from(releases as u32 + 1) << 32 | slot);
                releases += 1;
            }
            2 => hostile.write(0, u64::from(input.byte() % 32)),
            3 => connection.collect(&mut pool),
            4 => {
                let _ = connection.drop_oldest(&mut pool);
            }
            5 => {
                connection.outlet.set_alarm();
                connection.outlet.wake();
                connection.outlet.clear_alarm();
            }
            6 => {
                let _ = connection.outlet.queued();
                send(&mut connection, &mut pool, true);
            }
            _ => {
                send(&mut connection, &mut pool, false);
            }
        }
        assert_eq!(pool.free_count() + pool.held_by(1), SLOTS as usize);
    }
    // It leaves, saying anything of what it has read; then it is gone.
    connection.detach(input.word(), &mut pool);
    pool.release_all(1);
    let mut slots: Vec<u32> = std::iter::from_fn(|| pool.take()).collect();
    slots.sort_unstable();
    assert!(slots.into_iter().eq(0..SLOTS));
});
