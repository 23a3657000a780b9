//! Sending a lava buffer without copying it.

use std::time::Duration;

use lava::*;

use crate::support::{PATIENCE, Place, pattern};

fn buffer(place: &Place, size: usize) -> Buffer {
    let options = BufferOptions::new(size as u64).shareable();
    let mut buffer = Buffer::allocate(&place.context(), &options).unwrap();
    buffer.as_mut_slice().unwrap().copy_from_slice(&pattern(size, 1));
    buffer
}

#[test]
fn ranges_of_a_buffer_arrive() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    let buffer = buffer(&place, 100_000);
    let tensor = Tensor::of::<u16>(&[10, 50]).unwrap();
    for (tag, range) in [0..100_000, 0..1, 99_000..100_000, 5..5].into_iter().enumerate() {
        let bytes = &pattern(100_000, 1)[range.start as usize..range.end as usize];
        let tensor = Some(&tensor).filter(|_| range.end - range.start >= 1000);
        let sent = producer.send_buffer(&buffer, range, tag as u64, tensor, PATIENCE).unwrap();
        assert_eq!(sent, Outcome::Done);
        let frame = consumer.receive().unwrap().unwrap();
        assert_eq!(frame.copy_to_vec::<u8>().unwrap(), bytes);
        assert_eq!(
            (frame.info().tag, frame.tensor().unwrap().is_some()),
            (tag as u64, tensor.is_some())
        );
    }
}

#[test]
fn a_sent_buffer_is_seen_in_place_and_handed_on() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    let mut buffer = buffer(&place, 100_000);
    let sent = producer.send_buffer(&buffer, 4096..8192, 0, None, PATIENCE).unwrap();
    assert_eq!(sent, Outcome::Done);
    let frame = consumer.receive().unwrap().unwrap();
    assert!(frame.info().in_buffer && !frame.info().is_inline());
    let (behind, offset) = frame.buffer().unwrap();
    let mut bytes = [0; 100];
    behind.read(offset, &mut bytes).unwrap();
    assert_eq!(bytes, pattern(100_000, 1)[4096..4196]);
    assert_eq!(behind.as_slice().unwrap_err().kind(), ErrorKind::Permission);

    // The same memory: a change is seen at once.
    buffer.write(4096, b"changed").unwrap();
    frame.read_at(0, &mut bytes[..7]).unwrap();
    assert_eq!(&bytes[..7], b"changed");
}

#[test]
fn the_release_of_a_sent_buffer_can_be_waited_for() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    let (one, two) = (buffer(&place, 50_000), buffer(&place, 50_000));
    for sent in [&one, &two] {
        let sent = producer.send_buffer(sent, 0..50_000, 0, None, PATIENCE).unwrap();
        assert_eq!(sent, Outcome::Done);
    }
    let first = consumer.receive().unwrap().unwrap();
    let second = consumer.receive().unwrap().unwrap();
    drop(first);
    assert_eq!(producer.wait_released(Some(&one), PATIENCE).unwrap(), Outcome::Done);
    let time = Duration::from_millis(5);
    assert_eq!(producer.wait_released(Some(&two), time).unwrap(), Outcome::TimedOut);
    drop(two);
    assert_eq!(
        second.copy_to_vec::<u8>().unwrap(),
        pattern(50_000, 1),
        "outlives the buffer's handle"
    );
    drop(second);
    assert_eq!(producer.wait_released(None, PATIENCE).unwrap(), Outcome::Done);
}

#[test]
fn several_consumers_get_one_buffer_many_times() {
    let place = Place::new();
    let mut producer = Producer::create(&place.context(), "pair", &ProducerOptions::new()).unwrap();
    let mut consumers: Vec<_> = (0..3).map(|_| place.consumer("pair")).collect();
    assert_eq!(producer.wait_consumers(3, PATIENCE).unwrap(), Outcome::Done);
    let buffers: Vec<_> = (0..4).map(|_| buffer(&place, 20_000)).collect();
    for round in 0..40 {
        let sent = producer.send_buffer(&buffers[round % 4], 0..20_000, 0, None, PATIENCE).unwrap();
        assert_eq!(sent, Outcome::Done);
        for consumer in &mut consumers {
            let frame = consumer.receive().unwrap().unwrap();
            assert_eq!(frame.copy_to_vec::<u8>().unwrap(), pattern(20_000, 1), "round {round}");
        }
    }
    // A late consumer gets buffers that the others know already.
    let mut late = place.consumer("pair");
    assert_eq!(producer.wait_consumers(4, PATIENCE).unwrap(), Outcome::Done);
    let sent = producer.send_buffer(&buffers[0], 0..20_000, 0, None, PATIENCE).unwrap();
    assert_eq!(sent, Outcome::Done);
    assert_eq!(late.receive().unwrap().unwrap().len(), 20_000);
}

#[test]
fn buffers_that_cannot_be_sent_are_refused() {
    let place = Place::new();
    let (mut producer, _consumer) = place.pair(&ProducerOptions::new());
    let context = place.context();
    let allocate = |options: BufferOptions| Buffer::allocate(&context, &options).unwrap();
    let shareable = buffer(&place, 1000);
    let imported = Buffer::import(&context, &shareable.export().unwrap()).unwrap();
    let cases = [
        allocate(BufferOptions::new(1000)),
        allocate(BufferOptions::new(1000).shareable().writable_by_importers()),
        imported,
    ];
    for (index, buffer) in cases.iter().enumerate() {
        let error = producer.send_buffer(buffer, 0..10, 0, None, PATIENCE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "case {index}: {error}");
    }
    for range in [0..1001, 1001..1001, 5..u64::MAX] {
        let error = producer.send_buffer(&shareable, range.clone(), 0, None, PATIENCE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{range:?}: {error}");
    }
    #[allow(clippy::reversed_empty_ranges, reason = "what is refused")]
    let error = producer.send_buffer(&shareable, 9..8, 0, None, PATIENCE).unwrap_err();
    assert_eq!((error.kind(), error.value()), (ErrorKind::InvalidArgument, 9));
}
