//! What a frame carries, how its bytes are seen, how long it lives.

use lava::*;

use crate::support::{PATIENCE, Place, next, pattern};

fn trusting() -> ConsumerOptions {
    // SAFETY: the producers of these tests do not write to what they sent.
    unsafe { ConsumerOptions::new().trust_producer() }
}

#[test]
fn frames_are_released_in_any_order() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new().capacity(4));
    for number in 0..4 {
        producer.send_bytes(&pattern(100, number)).unwrap();
    }
    let mut frames: Vec<_> = (0..4).map(|_| consumer.receive().unwrap().unwrap()).collect();
    drop(frames.remove(2));
    producer.send_bytes(&pattern(100, 4)).unwrap();
    drop(frames.remove(0));
    producer.send_bytes(&pattern(100, 5)).unwrap();
    // What is held is not overwritten.
    assert_eq!(frames[0].copy_to_vec::<u8>().unwrap(), pattern(100, 1));
    assert_eq!(frames[1].copy_to_vec::<u8>().unwrap(), pattern(100, 3));
    assert_eq!(next(&mut consumer), pattern(100, 4));
    assert_eq!(next(&mut consumer), pattern(100, 5));
}

#[test]
fn a_frame_outlives_everything_it_came_from() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    producer.send_bytes(&pattern(5000, 0)).unwrap();
    producer.send_bytes(b"short").unwrap();
    let long = consumer.receive().unwrap().unwrap();
    let short = consumer.receive().unwrap().unwrap();
    drop(consumer);
    drop(producer);
    drop(place);
    assert_eq!(long.copy_to_vec::<u8>().unwrap(), pattern(5000, 0));
    assert_eq!(short.bytes().unwrap(), b"short");
}

#[test]
fn a_loan_outlives_its_producer_and_cannot_be_sent_by_another() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    let mut other = Producer::create(&place.context(), "other", &ProducerOptions::new()).unwrap();
    let mut loan = producer.loan(1000).unwrap();
    let error = other.try_send(loan).unwrap_err();
    assert_eq!(error.error.kind(), ErrorKind::FrameState);
    loan = error.loan;
    drop(producer);
    loan.bytes_mut().unwrap().fill(9);
    assert_eq!(loan.bytes().unwrap(), [9; 1000]);
    drop(loan);
    assert!(consumer.receive().unwrap().is_none());
}

#[test]
fn a_frame_tells_sequence_time_and_tag() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    let before = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let before = before.tv_sec as u64 * 1_000_000_000 + before.tv_nsec as u64;
    for size in [8usize, 39, 1000] {
        let mut loan = producer.loan(size).unwrap();
        loan.set_tag(u64::MAX - size as u64).unwrap();
        assert_eq!(loan.info().tag, u64::MAX - size as u64);
        producer.send(loan).unwrap();
    }
    let mut stamped = producer.loan(8).unwrap();
    stamped.set_timestamp(42).unwrap();
    producer.send(stamped).unwrap();

    for (sequence, size) in [8u64, 39, 1000].into_iter().enumerate() {
        let info = consumer.receive().unwrap().unwrap().info();
        assert_eq!((info.sequence, info.size), (sequence as u64, size));
        assert_eq!(info.tag, u64::MAX - size);
        assert!(info.timestamp_ns >= before, "{} >= {before}", info.timestamp_ns);
        assert_eq!(info.transport, Some(Transport::Shm));
    }
    assert_eq!(consumer.receive().unwrap().unwrap().info().timestamp_ns, 42);

    let options = ProducerOptions::new().no_timestamp();
    let mut producer = Producer::create(&place.context(), "timeless", &options).unwrap();
    let mut consumer = place.consumer("timeless");
    producer.send_bytes(b"x").unwrap();
    assert_eq!(consumer.receive().unwrap().unwrap().info().timestamp_ns, 0);
}

#[test]
fn a_tensor_travels_with_the_frame() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    let tensor = Tensor::of::<f32>(&[4, 5, 6]).unwrap();
    let mut loan = producer.loan_slice::<f32>(120).unwrap();
    assert_eq!(loan.tensor().unwrap(), None);
    loan.set_tensor(Some(&tensor)).unwrap();
    producer.send(loan).unwrap();
    let frame = consumer.receive().unwrap().unwrap();
    let received = frame.tensor().unwrap().unwrap();
    assert_eq!((received.data_type(), received.shape()), (DataType::F32, &[4, 5, 6][..]));
    assert_eq!(received.strides(), Some(&[30, 6, 1][..]));
    assert_eq!(received.element_count(), Some(120));

    // A small one, a reversed view at an offset, a scalar, and none.
    let reversed = Tensor::new(DataType::U8, &[4]).unwrap();
    let reversed = reversed.with_strides(&[-1]).unwrap().with_byte_offset(3);
    let scalar = Tensor::of::<f64>(&[]).unwrap();
    for tensor in [Some(reversed), Some(scalar), None] {
        let mut loan = producer.loan(8).unwrap();
        loan.set_tensor(tensor.as_ref()).unwrap();
        producer.send(loan).unwrap();
        let received = consumer.receive().unwrap().unwrap().tensor().unwrap();
        assert_eq!(
            received.map(|tensor| tensor.shape().to_vec()),
            tensor.map(|t| t.shape().to_vec())
        );
        assert_eq!(received.map(|tensor| tensor.byte_offset()), tensor.map(|t| t.byte_offset()));
    }
}

#[test]
fn a_tensor_that_does_not_fit_is_refused() {
    let place = Place::new();
    let (mut producer, _consumer) = place.pair(&ProducerOptions::new());
    let mut loan = producer.loan(100).unwrap();
    let tensor = Tensor::of::<f32>(&[26]).unwrap();
    assert_eq!(loan.set_tensor(Some(&tensor)).unwrap_err().kind(), ErrorKind::TooLarge);
    let tensor = Tensor::of::<u8>(&[10]).unwrap().with_strides(&[-1]).unwrap();
    assert_eq!(loan.set_tensor(Some(&tensor)).unwrap_err().kind(), ErrorKind::TooLarge);
    let tensor = Tensor::of::<u8>(&[usize::MAX, 4]).unwrap();
    assert_eq!(loan.set_tensor(Some(&tensor)).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let odd = DataType { kind: ElementKind::Float, bits: 7, lanes: 1 };
    let tensor = Tensor::new(odd, &[1]).unwrap();
    assert_eq!(loan.set_tensor(Some(&tensor)).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(loan.tensor().unwrap(), None);

    let error = Tensor::of::<u8>(&[1; 9]).unwrap_err();
    assert_eq!((error.kind(), error.value()), (ErrorKind::InvalidArgument, 9));
    let error = Tensor::of::<u8>(&[1, 2]).unwrap().with_strides(&[1]).unwrap_err();
    assert_eq!((error.kind(), error.value()), (ErrorKind::InvalidArgument, 1));
}

#[test]
fn bytes_that_the_producer_can_write_are_not_shown() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    producer.send_bytes(&[5; 41]).unwrap();
    producer.send_bytes(&[6; 40]).unwrap();
    let shared = consumer.receive().unwrap().unwrap();
    let error = shared.bytes().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FrameState);
    assert!(error.message().contains("trust_producer"), "{error}");
    assert!(!shared.info().is_inline());
    let private = consumer.receive().unwrap().unwrap();
    assert!(private.info().is_inline());
    assert_eq!(private.bytes().unwrap(), [6; 40]);
}

#[test]
fn a_trusting_consumer_sees_bytes_in_place() {
    let place = Place::new();
    let mut producer = Producer::create(&place.context(), "pair", &ProducerOptions::new()).unwrap();
    let mut consumer = place.consumer_with("pair", &trusting());
    producer.send_bytes(bytemuck::cast_slice(&[1.5f64; 500])).unwrap();
    let frame = consumer.receive().unwrap().unwrap();
    assert_eq!(frame.slice::<f64>().unwrap(), [1.5; 500]);
    assert_eq!(frame.bytes().unwrap().as_ptr(), frame.as_ptr());
}

#[test]
fn typed_views_check_size_and_alignment() {
    let place = Place::new();
    let mut producer = Producer::create(&place.context(), "pair", &ProducerOptions::new()).unwrap();
    let mut consumer = place.consumer_with("pair", &trusting());
    let mut loan = producer.loan(102).unwrap();
    let error = loan.slice_mut::<u32>().unwrap_err();
    assert_eq!((error.kind(), error.value()), (ErrorKind::InvalidArgument, 102));
    assert!(error.message().contains("u32"), "{error}");
    loan.slice_mut::<u16>().unwrap().fill(7);
    producer.send(loan).unwrap();
    let frame = consumer.receive().unwrap().unwrap();
    assert_eq!(frame.slice::<u16>().unwrap(), [7; 51]);
    assert_eq!(frame.slice::<u64>().unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(frame.copy_to_vec::<u16>().unwrap(), [7; 51]);
    let error = frame.copy_to_vec::<u32>().unwrap_err();
    assert_eq!((error.kind(), error.value()), (ErrorKind::InvalidArgument, 102));

    // A range of a buffer may begin anywhere.
    let context = place.context();
    let mut buffer = Buffer::allocate(&context, &BufferOptions::new(4096).shareable()).unwrap();
    buffer.as_mut_slice().unwrap().fill(3);
    let sent = producer.send_buffer(&buffer, 1..401, 0, None, PATIENCE).unwrap();
    assert_eq!(sent, Outcome::Done);
    let frame = consumer.receive().unwrap().unwrap();
    let error = frame.slice::<u32>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("aligned"), "{error}");
    assert_eq!(
        frame.copy_to_vec::<u32>().unwrap(),
        [0x0303_0303; 100],
        "a copy needs no alignment"
    );
}

#[test]
fn reading_outside_a_frame_is_refused() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    producer.send_bytes(&pattern(100, 0)).unwrap();
    let frame = consumer.receive().unwrap().unwrap();
    let mut bytes = [0; 10];
    frame.read_at(90, &mut bytes).unwrap();
    assert_eq!(bytes, pattern(100, 0)[90..]);
    for offset in [91, 100, 101, usize::MAX] {
        let error = frame.read_at(offset, &mut bytes).unwrap_err();
        assert_eq!((error.kind(), error.value()), (ErrorKind::TooLarge, offset as u64));
    }
    frame.read_at(100, &mut []).unwrap();
    let mut whole = [0; 100];
    frame.copy_to_slice(&mut whole).unwrap();
    assert_eq!(whole, pattern(100, 0)[..]);
    assert_eq!(frame.copy_to_slice(&mut [0u8; 99]).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_loan_is_written_in_parts_and_shortened() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new().max_frame_size(1000));
    let mut loan = producer.loan(100).unwrap();
    loan.write_at(0, &[1u32, 2, 3]).unwrap();
    loan.write_at(12, b"end").unwrap();
    let error = loan.write_at(98, b"end").unwrap_err();
    assert_eq!((error.kind(), error.value()), (ErrorKind::TooLarge, 98));
    loan.set_len(15).unwrap();
    let capacity = loan.info().capacity;
    assert!(capacity >= 100, "{capacity}");
    let error = loan.set_len(capacity as usize + 1).unwrap_err();
    assert_eq!((error.kind(), error.value()), (ErrorKind::TooLarge, capacity + 1));
    assert_eq!(loan.len(), 15);
    producer.send(loan).unwrap();
    let bytes = next(&mut consumer);
    assert_eq!(&bytes[..12], bytemuck::cast_slice::<u32, u8>(&[1, 2, 3]));
    assert_eq!(&bytes[12..], b"end");

    let error = producer.loan(1001).unwrap_err();
    assert_eq!((error.kind(), error.value()), (ErrorKind::TooLarge, 1001));
    assert!(
        error.message().contains("1001") && error.message().contains("max_frame_size"),
        "{error}"
    );
    let error = producer.send_bytes(&[0; 1001]).unwrap_err();
    assert_eq!((error.kind(), error.value()), (ErrorKind::TooLarge, 1001));
    assert_eq!(producer.loan_slice::<u64>(usize::MAX).unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn frames_and_loans_cross_threads() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new().capacity(4));
    for round in 0..50 {
        let loan = producer.loan(200).unwrap();
        let loan = std::thread::spawn(move || {
            let mut loan = loan;
            loan.bytes_mut().unwrap().copy_from_slice(&pattern(200, round));
            loan
        });
        producer.send(loan.join().unwrap()).unwrap();
        let frame = consumer.receive().unwrap().unwrap();
        let reader = std::thread::spawn(move || frame.copy_to_vec::<u8>().unwrap());
        assert_eq!(reader.join().unwrap(), pattern(200, round));
    }
    assert_eq!(producer.wait_released(None, PATIENCE).unwrap(), Outcome::Done);
}
