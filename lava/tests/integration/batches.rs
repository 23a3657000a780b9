//! Several frames by one call.

use std::time::Duration;

use lava::*;

use crate::support::{PATIENCE, Place, pattern};

fn values(frames: &Frames) -> Vec<Vec<u8>> {
    frames.iter().map(|frame| frame.copy_to_vec().unwrap()).collect()
}

#[test]
fn small_messages_travel_in_batches() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new().queue_length(128));
    let messages: Vec<_> = (0..100usize).map(|number| pattern(number % 41, number)).collect();
    let parts: Vec<Bytes> = messages.iter().map(|message| message[..].into()).collect();
    assert_eq!(producer.send_bytes_many(&parts, PATIENCE).unwrap(), 100);
    assert_eq!(producer.send_bytes_many(&[], Timeout::NONE).unwrap(), 0);

    let mut frames = Frames::with_capacity(64);
    assert_eq!(consumer.receive_many(&mut frames, PATIENCE).unwrap(), Some(64));
    assert_eq!(values(&frames), messages[..64]);
    assert_eq!(consumer.receive_many(&mut frames, PATIENCE).unwrap(), Some(36));
    assert_eq!(values(&frames), messages[64..]);
    let time = Duration::from_millis(5);
    assert_eq!(consumer.receive_many(&mut frames, time).unwrap(), Some(0));
    assert_eq!(consumer.receive_many(&mut frames, Timeout::NONE).unwrap(), Some(0));
    assert!(frames.is_empty());
    drop(producer);
    assert_eq!(consumer.receive_many(&mut frames, PATIENCE).unwrap(), None);
}

#[test]
fn small_messages_of_one_size_share_lines() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new().queue_length(64));
    let sizes = [(8, 13), (3, 7), (16, 5), (40, 2), (0, 3), (12, 4), (8, 1), (16, 1), (1, 11)];
    let sizes = sizes.iter().flat_map(|(size, count)| std::iter::repeat_n(*size, *count));
    let messages: Vec<_> = sizes.enumerate().map(|(number, size)| pattern(size, number)).collect();
    let parts: Vec<Bytes> = messages.iter().map(|message| message[..].into()).collect();
    let mut frames = Frames::with_capacity(3);
    for round in 0..50 {
        assert_eq!(producer.send_bytes_many(&parts, PATIENCE).unwrap(), messages.len());
        let (mut came, mut infos) = (Vec::new(), Vec::new());
        while came.len() < messages.len() {
            // Lines are taken apart by both kinds of calls.
            if (came.len() + round) % 4 < 2 {
                let frame = consumer.receive().unwrap().unwrap();
                came.push(frame.copy_to_vec().unwrap());
                infos.push(frame.info());
            } else {
                consumer.receive_many(&mut frames, PATIENCE).unwrap();
                came.extend(values(&frames));
                infos.extend(frames.iter().map(Frame::info));
            }
        }
        assert_eq!(came, messages);
        for (info, number) in infos.iter().zip((round * messages.len()) as u64..) {
            assert_eq!((info.sequence, info.timestamp_ns), (number, infos[0].timestamp_ns));
        }
    }
    frames.clear();
    let (sent, received) = (&producer.connections().unwrap()[0], consumer.connection().unwrap());
    let total = (50 * messages.len()) as u64;
    assert_eq!((sent.frames, received.frames, received.dropped), (total, total, 0));
    assert_eq!((sent.bytes, sent.queued, received.held), (received.bytes, 0, 0));
}

#[test]
fn a_shared_line_has_its_place_until_its_last_frame_is_received() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new().queue_length(1));
    let parts = vec![Bytes::from(&b"12345678"[..]); 7];
    assert_eq!(producer.send_bytes_many(&parts, Timeout::NONE).unwrap(), 5);
    for left in (0..5).rev() {
        assert_eq!(producer.send_bytes_many(&parts[..1], Timeout::NONE).unwrap(), 0);
        assert_eq!(
            producer.wait_released(None, Duration::from_millis(1)).unwrap(),
            Outcome::TimedOut
        );
        let frame = consumer.receive().unwrap().unwrap();
        assert_eq!(frame.copy_to_vec::<u8>().unwrap(), b"12345678");
        assert_eq!(consumer.connection().unwrap().queued, left);
    }
    assert_eq!(producer.wait_released(None, PATIENCE).unwrap(), Outcome::Done);
    assert_eq!(producer.send_bytes_many(&parts[5..], Timeout::NONE).unwrap(), 2);
}

#[test]
fn what_may_be_dropped_shares_no_line() {
    for policy in [Policy::DropNewest, Policy::DropOldest] {
        let place = Place::new();
        let options = ProducerOptions::new().queue_length(4).policy(policy);
        let (mut producer, mut consumer) = place.pair(&options);
        let messages: Vec<_> = (0..10).map(|number| pattern(8, number)).collect();
        let parts: Vec<Bytes> = messages.iter().map(|message| message[..].into()).collect();
        assert_eq!(producer.send_bytes_many(&parts, Timeout::NONE).unwrap(), 10);
        let mut frames = Frames::with_capacity(10);
        assert_eq!(consumer.receive_many(&mut frames, PATIENCE).unwrap(), Some(4));
        let kept = if policy == Policy::DropNewest { &messages[..4] } else { &messages[6..] };
        assert_eq!(values(&frames), kept);
    }
}

#[test]
fn loans_travel_in_batches_and_come_back() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new().capacity(6));
    let mut loans = Loans::with_capacity(4);
    let mut frames = Frames::with_capacity(16);
    for round in 0..20 {
        assert_eq!(producer.loan_many(&mut loans, 1000, PATIENCE).unwrap(), 4);
        for (index, loan) in loans.iter_mut().enumerate() {
            loan.bytes_mut().unwrap().copy_from_slice(&pattern(1000, round * 4 + index));
        }
        assert_eq!(producer.send_many(&mut loans, PATIENCE).unwrap(), 4);
        assert!(loans.is_empty());
        assert_eq!(consumer.receive_many(&mut frames, PATIENCE).unwrap(), Some(4));
        let expected: Vec<_> = (0..4).map(|index| pattern(1000, round * 4 + index)).collect();
        assert_eq!(values(&frames), expected, "round {round}");
        frames.clear();
    }
    assert_eq!(producer.wait_released(None, PATIENCE).unwrap(), Outcome::Done);
}

#[test]
fn a_batch_of_loans_takes_what_is_free() {
    let place = Place::new();
    let (mut producer, _consumer) = place.pair(&ProducerOptions::new().capacity(3));
    let mut loans = Loans::with_capacity(8);
    assert_eq!(producer.loan_many(&mut loans, 1000, PATIENCE).unwrap(), 3);
    assert_eq!(producer.loan_many(&mut loans, 1000, Timeout::NONE).unwrap(), 0);
    assert_eq!(loans.len(), 3);
    loans.clear();
    assert_eq!(producer.loan_many(&mut loans, 1000, Timeout::NONE).unwrap(), 3);
    drop(loans);
    assert!(producer.try_loan(1000).unwrap().is_some());
    let mut loans = Loans::with_capacity(1);
    let error = producer.loan_many(&mut loans, 1 << 30, PATIENCE).unwrap_err();
    assert_eq!((error.kind(), error.value()), (ErrorKind::TooLarge, 1 << 30));
}

#[test]
fn what_a_full_queue_does_not_take_stays() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new().queue_length(4));
    let mut loans = Loans::with_capacity(6);
    assert_eq!(producer.loan_many(&mut loans, 8, PATIENCE).unwrap(), 6);
    for (index, loan) in loans.iter_mut().enumerate() {
        loan.bytes_mut().unwrap().fill(index as u8);
    }
    assert_eq!(producer.send_many(&mut loans, Timeout::NONE).unwrap(), 4);
    assert_eq!(loans.len(), 2);
    assert_eq!(producer.send_many(&mut loans, Duration::from_millis(5)).unwrap(), 0);
    let parts = [Bytes::from(&b"x"[..])];
    assert_eq!(producer.send_bytes_many(&parts, Timeout::NONE).unwrap(), 0);

    let mut frames = Frames::with_capacity(6);
    assert_eq!(consumer.receive_many(&mut frames, PATIENCE).unwrap(), Some(4));
    assert_eq!(producer.send_many(&mut loans, PATIENCE).unwrap(), 2);
    assert_eq!(consumer.receive_many(&mut frames, PATIENCE).unwrap(), Some(2));
    assert_eq!(values(&frames), [[4u8; 8], [5; 8]]);
}

#[test]
fn a_batch_that_fails_in_the_middle_tells_how_far_it_came() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new().max_frame_size(100));
    let too_large = [0; 101];
    let parts: Vec<Bytes> = vec![b"a"[..].into(), b"b"[..].into(), too_large[..].into()];
    assert_eq!(producer.send_bytes_many(&parts, PATIENCE).unwrap(), 2);
    let error = producer.send_bytes_many(&parts[2..], PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let mut frames = Frames::with_capacity(8);
    assert_eq!(consumer.receive_many(&mut frames, PATIENCE).unwrap(), Some(2));
    assert_eq!(values(&frames), [b"a", b"b"]);
}

#[test]
fn frames_taken_out_of_a_batch_live_on() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new().capacity(4));
    for number in 0..4 {
        producer.send_bytes(&pattern(500, number)).unwrap();
    }
    let mut frames = Frames::with_capacity(4);
    assert_eq!(consumer.receive_many(&mut frames, PATIENCE).unwrap(), Some(4));
    let mut kept: Vec<Frame> = frames.drain().collect();
    drop(frames);
    assert!(producer.try_loan(500).unwrap().is_none(), "all four are held");
    kept.truncate(3);
    assert!(producer.try_loan(500).unwrap().is_some());
    for (number, frame) in kept.iter().enumerate() {
        assert_eq!(frame.copy_to_vec::<u8>().unwrap(), pattern(500, number));
    }
}
