//! Channels whose pool is GPU memory: imported where that can be, staged elsewhere.

use lava::*;

use crate::support::{PATIENCE, Place, Process, next, pattern};

const SIZE: usize = 100_000;

/// Contexts that may use any device, a CPU's included.
pub(crate) struct Gpu<'a>(&'a Place);

impl<'a> Gpu<'a> {
    /// None, and a line that says so, where there is no Vulkan device.
    pub(crate) fn find(place: &'a Place) -> Option<Self> {
        let gpu = Self(place);
        let options = BufferOptions::new(64).memory(Memory::Device).require();
        match Buffer::allocate(&gpu.context(), &options) {
            Ok(_) => Some(gpu),
            Err(error) => {
                println!("skipped: no Vulkan device: {error}");
                None
            }
        }
    }

    pub(crate) fn context(&self) -> Context {
        Context::create(&self.0.options().devices(Devices::All)).unwrap()
    }

    pub(crate) fn producer(&self, options: &ProducerOptions) -> Producer {
        let options = options.clone().memory(Memory::Device).require_memory();
        Producer::create(&self.context(), "gpu", &options).unwrap()
    }

    pub(crate) fn try_consumer(&self, options: &ConsumerOptions) -> Result<Consumer> {
        Consumer::open(&self.context(), "gpu", &options.clone().timeout(PATIENCE))
    }

    fn consumer(&self) -> Consumer {
        self.try_consumer(&ConsumerOptions::new()).unwrap()
    }

    /// A consumer in a context without Vulkan.
    fn host_consumer(&self) -> Consumer {
        let context = Context::create(&self.0.options().devices(Devices::Off)).unwrap();
        Consumer::open(&context, "gpu", &ConsumerOptions::new().timeout(PATIENCE)).unwrap()
    }
}

pub(crate) fn told<'a>(text: &'a str, name: &str) -> &'a str {
    let at = text.find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name} in {text}"));
    let rest = &text[at + name.len() + 3..];
    rest[..rest.find([',', '}']).unwrap()].trim_matches('"')
}

fn send_written(producer: &mut Producer, bytes: &[u8]) {
    let mut loan = producer.loan(bytes.len()).unwrap();
    loan.write_at(0, bytes).unwrap();
    producer.send(loan).unwrap();
}

#[test]
fn frames_of_gpu_memory_are_imported_once_and_never_copied() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let mut producer = gpu.producer(&ProducerOptions::new());
    let mut consumer = gpu.consumer();
    for number in 0..40 {
        let bytes = pattern(SIZE + number, number);
        if number % 2 == 0 {
            send_written(&mut producer, &bytes);
        } else {
            producer.send_bytes(&bytes).unwrap();
        }
        let frame = consumer.receive().unwrap().unwrap();
        assert!(frame.as_ptr().is_null(), "the CPU has no address of it");
        assert!(frame.bytes().is_err());
        assert_eq!(frame.copy_to_vec::<u8>().unwrap(), bytes);
        let mut part = [0; 10];
        frame.read_at(SIZE - 10, &mut part).unwrap();
        assert_eq!(part, bytes[SIZE - 10..SIZE]);
        assert!(frame.read_at(SIZE + number, &mut part).is_err());
        assert_eq!(frame.info().memory, Memory::Device);
    }
    let connection = consumer.connection().unwrap();
    assert_eq!((connection.transport, connection.copies), (Transport::Vulkan, 0));
    assert!(connection.rejections.is_empty() && connection.reason.contains("import"));
    let described = consumer.describe().unwrap();
    assert_eq!(told(&described, "imports"), "1", "{described}");
    let sync = told(&described, "sync");
    assert!(["host", "timeline"].contains(&sync), "{described}");
    assert_eq!(told(&producer.describe().unwrap(), "sync"), sync);
    assert_eq!(producer.connections().unwrap()[0].transport, Transport::Vulkan);
}

#[test]
fn small_frames_stay_in_their_descriptor() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let mut producer = gpu.producer(&ProducerOptions::new());
    let (mut direct, mut staged) = (gpu.consumer(), gpu.host_consumer());
    producer.send_bytes(&[1; 40]).unwrap();
    let mut loan = producer.loan(30).unwrap();
    loan.bytes_mut().unwrap().fill(2);
    loan.set_tag(7).unwrap();
    producer.send(loan).unwrap();
    // With a tag and more than 32 bytes it needs a slot after all.
    let mut tagged = producer.loan(40).unwrap();
    tagged.bytes_mut().unwrap().fill(3);
    tagged.set_tag(8).unwrap();
    producer.send(tagged).unwrap();
    for consumer in [&mut direct, &mut staged] {
        let first = consumer.receive().unwrap().unwrap();
        assert!(first.info().is_inline() && first.bytes().is_ok());
        drop(first);
        assert_eq!((next(consumer), next(consumer)), (vec![2; 30], vec![3; 40]));
    }
}

#[test]
fn one_producer_serves_gpu_and_host_consumers_with_one_copy_for_all_of_these() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let mut producer = gpu.producer(&ProducerOptions::new());
    let mut direct = [gpu.consumer(), gpu.consumer()];
    let mut staged = [gpu.host_consumer(), gpu.host_consumer(), {
        gpu.try_consumer(&ConsumerOptions::new().memory(Memory::Standard)).unwrap()
    }];
    assert_eq!(producer.wait_consumers(5, PATIENCE).unwrap(), Outcome::Done);
    for number in 0..30 {
        let bytes = pattern(SIZE, number);
        send_written(&mut producer, &bytes);
        for consumer in direct.iter_mut().chain(&mut staged) {
            assert_eq!(next(consumer), bytes);
        }
    }
    for consumer in &mut staged {
        let connection = consumer.connection().unwrap();
        assert_eq!((connection.transport, connection.copies), (Transport::Staged, 1));
        let rejected = &connection.rejections[0];
        assert_eq!(rejected.transport, Transport::Vulkan);
        assert_eq!(told(&consumer.describe().unwrap(), "imports"), "0");
    }
    let reasons = |connections: &[ConnectionInfo], words: &str| {
        let named = |one: &&ConnectionInfo| {
            one.transport == Transport::Staged && one.rejections[0].reason.contains(words)
        };
        connections.iter().filter(named).count()
    };
    let connections = producer.connections().unwrap();
    assert_eq!(reasons(&connections, "cannot import"), 2, "{connections:?}");
    assert_eq!(reasons(&connections, "wants host memory"), 1, "{connections:?}");
    let copies = |producer: &Producer| {
        let described = producer.describe().unwrap();
        told(&described[described.find("staging").unwrap()..], "copies").to_owned()
    };
    assert_eq!(copies(&producer), "30");
    // Nobody staged, nothing copied.
    drop(staged);
    while producer.connections().unwrap().len() > 2 {
        std::thread::yield_now();
    }
    producer.send_bytes(&[5; SIZE]).unwrap();
    for consumer in &mut direct {
        assert_eq!(next(consumer), [5; SIZE]);
    }
    assert_eq!(copies(&producer), "30");
}

#[test]
fn staged_frames_are_plain_memory_that_stays_until_released() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let mut producer = gpu.producer(&ProducerOptions::new().capacity(4));
    let (mut staged, mut direct) = (gpu.host_consumer(), gpu.consumer());
    let send = |producer: &mut Producer, number| {
        producer.send_bytes(&pattern(SIZE, number)).unwrap();
    };
    send(&mut producer, 0);
    let held = staged.receive().unwrap().unwrap();
    drop(direct.receive().unwrap());
    for number in 1..20 {
        send(&mut producer, number);
        assert_eq!(next(&mut staged), pattern(SIZE, number));
        drop(direct.receive().unwrap());
    }
    assert!(!held.as_ptr().is_null(), "plain memory");
    assert_eq!(held.copy_to_vec::<u8>().unwrap(), pattern(SIZE, 0));
    drop((producer, staged));
    assert_eq!(held.copy_to_vec::<u8>().unwrap(), pattern(SIZE, 0), "after both ends");
}

#[test]
fn consumers_outlive_their_producer_and_read_the_frames_they_hold() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let mut producer = gpu.producer(&ProducerOptions::new());
    let mut consumer = gpu.consumer();
    for number in 0..3 {
        producer.send_bytes(&pattern(SIZE, number)).unwrap();
    }
    let held = consumer.receive().unwrap().unwrap();
    drop(producer);
    assert_eq!(held.copy_to_vec::<u8>().unwrap(), pattern(SIZE, 0));
    assert_eq!(next(&mut consumer), pattern(SIZE, 1));
    let last = consumer.receive().unwrap().unwrap();
    assert!(consumer.receive().unwrap().is_none());
    drop(consumer);
    assert_eq!(last.copy_to_vec::<u8>().unwrap(), pattern(SIZE, 2), "without its consumer");
    assert_eq!(held.copy_to_vec::<u8>().unwrap(), pattern(SIZE, 0));
}

#[test]
fn buffers_of_either_memory_go_through_a_channel_of_gpu_memory() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let context = gpu.context();
    let options = ProducerOptions::new().memory(Memory::Device).require_memory();
    let mut producer = Producer::create(&context, "gpu", &options).unwrap();
    let (mut direct, mut staged) = (gpu.consumer(), gpu.host_consumer());
    let allocate = |memory| {
        let options = BufferOptions::new(2 * SIZE as u64).memory(memory).shareable().require();
        let mut buffer = Buffer::allocate(&context, &options).unwrap();
        buffer.write(SIZE as u64, &pattern(SIZE, 9)).unwrap();
        buffer
    };
    for memory in [Memory::Device, Memory::Standard] {
        let buffer = allocate(memory);
        for _ in 0..3 {
            let range = SIZE as u64..2 * SIZE as u64;
            let sent = producer.send_buffer(&buffer, range, 0, None, PATIENCE).unwrap();
            assert_eq!(sent, Outcome::Done);
            for consumer in [&mut direct, &mut staged] {
                let frame = consumer.receive().unwrap().unwrap();
                assert_eq!(frame.copy_to_vec::<u8>().unwrap(), pattern(SIZE, 9), "{memory:?}");
            }
        }
        assert_eq!(producer.wait_released(Some(&buffer), PATIENCE).unwrap(), Outcome::Done);
    }
    let imports = told(&direct.describe().unwrap(), "imports").to_owned();
    assert_eq!(imports, "2", "the pool and the buffer, each once");
    // More than a slot of the mirror holds.
    let large = BufferOptions::new(2 << 20).memory(Memory::Device).shareable().require();
    let large = Buffer::allocate(&context, &large).unwrap();
    let error = producer.send_buffer(&large, 0..2 << 20, 0, None, PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.message().contains("max_frame_size"), "{error}");
    // A pool of host memory takes no buffer of GPU memory.
    let mut host = Producer::create(&context, "host", &ProducerOptions::new()).unwrap();
    let error = host.send_buffer(&large, 0..64, 0, None, PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[test]
fn full_channels_of_gpu_memory_keep_their_policy() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    for policy in [Policy::DropNewest, Policy::DropOldest] {
        let options = ProducerOptions::new().capacity(4).policy(policy);
        let mut producer = gpu.producer(&options);
        let (mut direct, mut staged) = (gpu.consumer(), gpu.host_consumer());
        for number in 0..50 {
            producer.send_bytes(&pattern(SIZE, number)).unwrap();
        }
        for consumer in [&mut direct, &mut staged] {
            let mut received = 0;
            while let Received::Frame(frame) = consumer.try_receive().unwrap() {
                let number = frame.info().sequence as usize;
                assert_eq!(frame.copy_to_vec::<u8>().unwrap(), pattern(SIZE, number));
                received += 1;
            }
            assert!((1..=4).contains(&received), "{policy:?}: {received}");
        }
    }
}

pub(crate) fn refused(result: Result<Consumer>, words: &[&str]) {
    let error = result.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Requirement, "{error}");
    for word in words {
        assert!(error.message().contains(word), "no {word:?} in: {error}");
    }
}

#[test]
fn what_a_consumer_requires_is_given_or_refused_with_the_reason() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let _producer = gpu.producer(&ProducerOptions::new());
    let require = |transport| ConsumerOptions::new().require_transport(transport);
    let vulkan = gpu.try_consumer(&require(Transport::Vulkan)).unwrap();
    assert_eq!(vulkan.connection().unwrap().transport, Transport::Vulkan);
    let staged = gpu.try_consumer(&require(Transport::Staged)).unwrap();
    assert_eq!(staged.connection().unwrap().transport, Transport::Staged);
    refused(gpu.try_consumer(&require(Transport::Shm)), &["shm: the pool is GPU memory"]);
    let off = Context::create(&place.options().devices(Devices::Off)).unwrap();
    let open = |options: ConsumerOptions| Consumer::open(&off, "gpu", &options.timeout(PATIENCE));
    refused(open(require(Transport::Vulkan)), &["vulkan: the consumer cannot import", "off"]);
    refused(open(ConsumerOptions::new().max_copies(0)), &["staged: it makes 1 copies"]);
    refused(
        open(ConsumerOptions::new().memory(Memory::Device)),
        &["no GPU memory to copy", "Vulkan is off", "staged: ", "the consumer cannot import it"],
    );
}

#[test]
fn a_host_pool_is_no_gpu_memory() {
    let place = Place::new();
    // A producer that asked for a GPU and has none gives host memory, and says so.
    let off = Context::create(&place.options().devices(Devices::Off)).unwrap();
    let options = ProducerOptions::new().memory(Memory::Device);
    let mut producer = Producer::create(&off, "gpu", &options).unwrap();
    let described = producer.describe().unwrap();
    assert!(described.contains("not device") && told(&described, "requested") == "device");
    let error = Producer::create(&off, "never", &options.require_memory()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Requirement, "{error}");
    let gpu = Gpu(&place);
    let vulkan = ConsumerOptions::new().require_transport(Transport::Vulkan);
    refused(gpu.try_consumer(&vulkan), &["vulkan: the pool is host memory"]);
    let device = ConsumerOptions::new().memory(Memory::Device);
    refused(gpu.try_consumer(&device.clone().max_copies(0)), &["shm: it makes 1 copies"]);
    let without = Consumer::open(&off, "gpu", &device.timeout(PATIENCE));
    refused(without, &["no GPU memory to copy", "Vulkan is off", "the pool is host memory"]);
    let mut consumer = gpu.consumer();
    assert_eq!(consumer.connection().unwrap().transport, Transport::Shm);
    producer.send_bytes(&[3; 5000]).unwrap();
    assert_eq!(next(&mut consumer), [3; 5000]);
}

// The other end in another process.

/// Receives what the test sends, and checks which way it came.
pub(crate) fn consume_by(context: &Context) {
    let opened = ConsumerOptions::new().timeout(PATIENCE);
    let mut consumer = Consumer::open(context, "gpu", &opened).unwrap();
    let mut count = 0;
    while let Some(frame) = consumer.receive().unwrap() {
        assert_eq!(frame.copy_to_vec::<u8>().unwrap(), pattern(SIZE, count));
        count += 1;
    }
    assert_eq!(count, 50);
    let transport = consumer.connection().unwrap().transport;
    let expected = match std::env::var("LAVA_VULKAN").as_deref() {
        Ok("off") => Transport::Staged,
        _ => Transport::Vulkan,
    };
    assert_eq!(transport, expected);
}

#[test]
fn children_with_and_without_vulkan_receive_every_frame() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let mut producer = gpu.producer(&ProducerOptions::new());
    let children = ["cpu", "off", "cpu", "off"]
        .map(|vulkan| place.child_with("consume gpu", &[("LAVA_VULKAN", vulkan)]));
    assert_eq!(producer.wait_consumers(4, PATIENCE).unwrap(), Outcome::Done);
    for number in 0..50 {
        send_written(&mut producer, &pattern(SIZE, number));
    }
    drop(producer);
    children.into_iter().for_each(Process::success);
}

/// Sends five frames of GPU memory and waits to be killed.
pub(crate) fn produce_and_stop(context: &Context) {
    let options = ProducerOptions::new().memory(Memory::Device).require_memory();
    let mut producer = Producer::create(context, "gpu", &options).unwrap();
    assert_eq!(producer.wait_consumers(2, PATIENCE).unwrap(), Outcome::Done);
    for number in 0..5 {
        producer.send_bytes(&pattern(SIZE, number)).unwrap();
    }
    let _ = std::io::stdin().read_line(&mut String::new());
    panic!("the test should have killed this process");
}

#[test]
fn frames_of_a_killed_producer_are_read_to_the_last() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let child = place.child_with("produce gpu and stop", &[("LAVA_VULKAN", "cpu")]);
    let mut consumers = [gpu.consumer(), gpu.host_consumer()];
    let held = consumers.each_mut().map(|consumer| consumer.receive().unwrap().unwrap());
    for consumer in &mut consumers {
        while consumer.connection().unwrap().queued < 4 {
            std::thread::yield_now();
        }
    }
    child.kill();
    for (consumer, first) in consumers.iter_mut().zip(&held) {
        for number in 1..5 {
            assert_eq!(next(consumer), pattern(SIZE, number));
        }
        assert_eq!(consumer.receive().unwrap_err().kind(), ErrorKind::PeerLost);
        assert_eq!(first.copy_to_vec::<u8>().unwrap(), pattern(SIZE, 0), "held frames stay");
    }
    drop(gpu.producer(&ProducerOptions::new()));
}

/// Receives all slots, says so, and holds them until it is killed.
pub(crate) fn hold(context: &Context) {
    let opened = ConsumerOptions::new().timeout(PATIENCE);
    let mut consumer = Consumer::open(context, "gpu", &opened).unwrap();
    let _held: Vec<_> = (0..8).map(|_| consumer.receive().unwrap().unwrap()).collect();
    let mut back = Producer::create(context, "held", &ProducerOptions::new()).unwrap();
    back.send_bytes(b"all").unwrap();
    let _ = std::io::stdin().read_line(&mut String::new());
    panic!("the test should have killed this process");
}

#[test]
fn a_killed_consumer_of_gpu_memory_gives_its_slots_back() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let mut producer = gpu.producer(&ProducerOptions::new());
    for vulkan in ["cpu", "off"] {
        let child = place.child_with("hold gpu", &[("LAVA_VULKAN", vulkan)]);
        for number in 0..8 {
            producer.send_bytes(&pattern(SIZE, number)).unwrap();
        }
        assert_eq!(next(&mut place.consumer("held")), b"all");
        assert!(producer.try_loan(SIZE).unwrap().is_none(), "the child holds every slot");
        child.kill();
        let loan = producer.loan_timeout(SIZE, PATIENCE).unwrap();
        drop(loan.expect("slots come back when their holder dies"));
        while !producer.connections().unwrap().is_empty() {
            std::thread::yield_now();
        }
    }
    let mut consumer = gpu.consumer();
    producer.send_bytes(&[1; SIZE]).unwrap();
    assert_eq!(next(&mut consumer), [1; SIZE]);
}
