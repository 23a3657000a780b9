//! The consumer's end against a producer that writes anything into its region, between any two calls.
#![no_main]

use std::sync::Arc;

use lava_fuzz::{Hostile, Input, own_region};
use lava_sys::internals::os::fork::ForkGuard;
use lava_sys::internals::transport::descriptor::{self, Payload, Words};
use lava_sys::internals::transport::ring::alarm::Fences;
use lava_sys::internals::transport::shm::{ShmInlet, ShmLink};
use lava_sys::internals::transport::{Inlet, Popped, Released, Returns};
use lava_sys::internals::wire;
use libfuzzer_sys::fuzz_target;

const QUEUE: u32 = 4;
const RELEASES: u32 = 64;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let (hostile, theirs) = Hostile::new(wire::descriptor_region_size(QUEUE));
    let own = own_region(wire::consumer_region_size(RELEASES));
    let fork = Arc::new(ForkGuard::new().expect("a page"));
    let link = ShmLink::new(own, theirs, QUEUE, RELEASES, Fences::Symmetric, fork);
    let mut inlet = ShmInlet::new(Arc::clone(&link), input.byte() & 1 == 1);
    while !input.is_empty() {
        match input.byte() % 8 {
            0 => hostile.write(input.byte().into(), input.word()),
            // A line that is due: its stamp fits.
            1 => {
                let position = inlet.consumed() + u64::from(input.byte() & 3);
                let line =
                    (wire::descriptor_region_size(0) / 8) as u64 + position % u64::from(QUEUE) * 8;
                let head = u64::from(input.byte() % 4) << 32 | u64::from(input.byte()) << 40;
                hostile.write(line, head | u64::from(descriptor::stamp(position)));
            }
            // The mark of what was taken back.
            2 => {
                let oldest = std::mem::offset_of!(wire::ProducerHeader, oldest) / 8;
                let ahead = u64::from(input.byte());
                hostile.write(oldest as u64, inlet.consumed().wrapping_add(ahead));
            }
            3 => {
                let _ = (inlet.ready(), inlet.queued(), inlet.closed());
            }
            4 => {
                inlet.set_alarm();
                inlet.clear_alarm();
            }
            5 => inlet.arm_event(),
            _ => {
                let mut words = Words::default();
                match inlet.pop(&mut words) {
                    Ok(Popped::Frame { position }) => {
                        assert_eq!(position + 1, inlet.consumed());
                        if let Some(Payload::Elsewhere(place)) =
                            descriptor::decode(&words).map(|decoded| decoded.payload)
                        {
                            link.release(&[Released { slot: place.slot, position }]);
                        }
                    }
                    Ok(Popped::TakenBack { slot, position }) => {
                        link.release(&[Released { slot, position }]);
                    }
                    Ok(Popped::Empty) => {}
                    // The consumer gives this connection up.
                    Err(_) => return,
                }
                inlet.wake(0);
            }
        }
    }
});
