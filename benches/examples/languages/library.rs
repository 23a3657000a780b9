//! The comparison's part in Rust: the same calls of the same `liblava.so`, loaded when the program runs; and the safe crate, of
//! which the C interface is a part of the program.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use lava::{Consumer, ConsumerOptions, Context, Producer, ProducerOptions};
use lava_sys::{
    LAVA_FOREVER, LAVA_OK, lava_consumer, lava_consumer_options, lava_context, lava_frame,
    lava_producer, lava_producer_options, lava_status,
};

macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// Functions of the loaded library.
        pub struct Library {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            _library: libloading::Library,
        }

        impl Library {
            /// Loads `liblava.so`.
            pub fn open(file: &Path) -> Result<Self, libloading::Error> {
                // SAFETY: lava's library runs nothing when it is loaded; the signatures are those of lava.h.
                unsafe {
                    let library = libloading::Library::new(file)?;
                    Ok(Self {
                        $($name: *library.get(concat!(stringify!($name), "\0").as_bytes())?,)*
                        _library: library,
                    })
                }
            }
        }
    };
}

type Error = *mut lava_sys::lava_error;

functions! {
    lava_abi_version: fn() -> u32;
    lava_context_create: fn(*const lava_sys::lava_context_options, *mut *mut lava_context, Error) -> lava_status;
    lava_context_destroy: fn(*mut lava_context);
    lava_producer_create: fn(*const lava_context, *const std::ffi::c_char, *const lava_producer_options, *mut *mut lava_producer, Error) -> lava_status;
    lava_producer_destroy: fn(*mut lava_producer);
    lava_producer_loan: fn(*mut lava_producer, u64, u64, *mut *mut lava_frame) -> lava_status;
    lava_producer_send_bytes: fn(*mut lava_producer, *const std::ffi::c_void, usize, u64) -> lava_status;
    lava_consumer_create: fn(*const lava_context, *const std::ffi::c_char, *const lava_consumer_options, *mut *mut lava_consumer, Error) -> lava_status;
    lava_consumer_destroy: fn(*mut lava_consumer);
    lava_consumer_receive: fn(*mut lava_consumer, u64, *mut *mut lava_frame) -> lava_status;
    lava_frame_size: fn(*const lava_frame) -> u64;
    lava_frame_data: fn(*const lava_frame) -> *const std::ffi::c_void;
    lava_frame_release: fn(*mut lava_frame) -> lava_status;
}

/// One channel within this process, on the loaded library.
pub struct Calls {
    library: Library,
    context: *mut lava_context,
    producer: *mut lava_producer,
    consumer: *mut lava_consumer,
    loan: *mut lava_frame,
}

impl Calls {
    pub fn new(library: Library) -> Self {
        let (mut context, mut producer, mut consumer, mut loan) = (
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        );
        let none = std::ptr::null_mut;
        let name = c"calls.loaded".as_ptr();
        let options = lava_producer_options {
            struct_size: size_of::<lava_producer_options>() as u32,
            flags: lava_sys::LAVA_PRODUCER_NO_TIMESTAMP,
            // SAFETY: zero is the default of each field.
            ..unsafe { std::mem::zeroed() }
        };
        // SAFETY: all pointers are NULL or valid for their calls.
        unsafe {
            let created = (library.lava_context_create)(std::ptr::null(), &mut context, none());
            assert_eq!(created, LAVA_OK);
            let created =
                (library.lava_producer_create)(context, name, &options, &mut producer, none());
            assert_eq!(created, LAVA_OK);
            let created = (library.lava_consumer_create)(
                context,
                name,
                std::ptr::null(),
                &mut consumer,
                none(),
            );
            assert_eq!(created, LAVA_OK);
            assert_eq!(
                (library.lava_producer_loan)(producer, 4096, LAVA_FOREVER, &mut loan),
                LAVA_OK
            );
        }
        Self { library, context, producer, consumer, loan }
    }

    /// Nanoseconds of one call of `name`.
    pub fn time(&mut self, name: &str, count: u64) -> f64 {
        let library = &self.library;
        // SAFETY: the handles are live.
        let once: &mut dyn FnMut(u64) = unsafe {
            match name {
                "lava_abi_version" => &mut |count| {
                    (0..count).for_each(|_| {
                        black_box((library.lava_abi_version)());
                    });
                },
                "lava_frame_size" => &mut |count| {
                    (0..count).for_each(|_| {
                        black_box((library.lava_frame_size)(self.loan));
                    });
                },
                "lava_frame_data" => &mut |count| {
                    (0..count).for_each(|_| {
                        black_box((library.lava_frame_data)(self.loan));
                    });
                },
                _ => &mut |count| (0..count).for_each(|number| self.round_trip(number)),
            }
        };
        let begin = Instant::now();
        once(count);
        begin.elapsed().as_secs_f64() * 1e9 / count as f64
    }

    fn round_trip(&self, number: u64) {
        let (library, mut frame) = (&self.library, std::ptr::null_mut());
        // SAFETY: the handles are live, the payload has 8 bytes.
        unsafe {
            let data = (&raw const number).cast();
            let sent = (library.lava_producer_send_bytes)(self.producer, data, 8, LAVA_FOREVER);
            assert_eq!(sent, LAVA_OK);
            let received = (library.lava_consumer_receive)(self.consumer, LAVA_FOREVER, &mut frame);
            assert_eq!(received, LAVA_OK);
            assert_eq!(*(library.lava_frame_data)(frame).cast::<u64>(), number);
            assert_eq!((library.lava_frame_release)(frame), LAVA_OK);
        }
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        // SAFETY: each is given back once.
        unsafe {
            (self.library.lava_frame_release)(self.loan);
            (self.library.lava_consumer_destroy)(self.consumer);
            (self.library.lava_producer_destroy)(self.producer);
            (self.library.lava_context_destroy)(self.context);
        }
    }
}

/// The two ends of the safe crate's ping-pong.
pub fn open(channel: &str, sends: &str, receives: &str) -> lava::Result<(Producer, Consumer)> {
    let context = Context::new()?;
    let options = ProducerOptions::new().no_timestamp();
    let producer = Producer::create(&context, &format!("{channel}.{sends}"), &options)?;
    let wait = ConsumerOptions::new();
    let consumer = Consumer::open(&context, &format!("{channel}.{receives}"), &wait)?;
    Ok((producer, consumer))
}

/// Nanoseconds of one round trip.
pub fn ping(producer: &mut Producer, consumer: &mut Consumer, count: u64) -> lava::Result<f64> {
    let begin = Instant::now();
    for number in 0..count {
        producer.send_bytes(&number.to_ne_bytes())?;
        let frame = consumer.receive()?.expect("an answer");
        let mut bytes = [0; 8];
        frame.read_at(0, &mut bytes)?;
        assert_eq!(u64::from_ne_bytes(bytes), number);
    }
    Ok(begin.elapsed().as_secs_f64() * 1e9 / count as f64)
}

/// Sends back what comes until the channel ends.
pub fn pong(producer: &mut Producer, consumer: &mut Consumer) -> lava::Result<()> {
    while let Some(frame) = consumer.receive()? {
        let mut bytes = [0; 8];
        frame.read_at(0, &mut bytes)?;
        drop(frame);
        producer.send_bytes(&bytes)?;
    }
    Ok(())
}
