//! Small frames that share messages.

use super::*;
use crate::transport::frame::FrameRef;

/// Sends frames of these sizes in one call.
fn send_together(producer: &mut Producer, sizes: &[usize]) {
    let parts: Vec<_> =
        sizes.iter().enumerate().map(|(number, size)| payload(number, *size)).collect();
    let mut sent = 0;
    let all = parts.iter().map(|part| Ok(part.as_slice()));
    producer.send_bytes_many(all, 10 * SECOND, &mut sent).unwrap();
    assert_eq!(sent, sizes.len());
}

fn check(frame: &FrameRef, number: usize, size: usize) {
    assert_eq!(frame.bytes(), payload(number, size), "frame {number} of {size} bytes");
}

#[test]
fn tensors_and_tags_share_messages() {
    let job = Job::new(2);
    let mut producer = job.producer(&options(64, 600));
    let mut consumer = job.consumer();
    let mut tensor = lava_tensor {
        struct_size: size_of::<lava_tensor>() as u32,
        dtype: 1,
        bits: 8,
        lanes: 1,
        dimensions: 1,
        has_strides: 0,
        byte_offset: 0,
        shape: [0; 8],
        strides: [0; 8],
    };
    let mut loans = Vec::new();
    for number in 0..50 {
        let mut loan = producer.loan(8 + number * 10, SECOND).unwrap();
        loan.cell_mut().set_tag(number).unwrap();
        if number % 2 == 1 {
            tensor.shape[0] = number as i64;
            loan.cell_mut().set_tensor(&tensor).unwrap();
        }
        loans.push(loan);
    }
    let mut sent = 0;
    producer.send_many(&loans, SECOND, &mut sent).unwrap();
    assert_eq!(sent, 50);
    for number in 0..50 {
        let frame = consumer.receive(10 * SECOND).unwrap();
        let info = frame.cell().info();
        assert_eq!((info.sequence, info.tag, info.size), (number, number, 8 + number * 10));
        let shape = frame.cell().tensor().ok().map(|tensor| tensor.shape[0]);
        assert_eq!(shape, (number % 2 == 1).then_some(number as i64));
        frame.release();
    }
}

#[test]
fn frames_of_one_call_share_messages_and_arrive_whole() {
    let job = Job::new(2);
    let mut producer = job.producer(&options(64, 3000));
    let mut consumer = job.consumer();
    // Alone, to be shared, too large to be shared, and so many that one message is too short for them.
    let sizes: Vec<usize> =
        (0..60).map(|number| [8, 64, 100, 500, 1024, 1025, 3000][number % 7]).collect();
    let before = job.world.messages(1);
    for _ in 0..20 {
        send_together(&mut producer, &sizes);
        for (number, size) in sizes.iter().enumerate() {
            let frame = consumer.receive(10 * SECOND).unwrap();
            check(&frame, number, *size);
            frame.release();
        }
    }
    let messages = job.world.messages(1) - before;
    assert!(messages < 20 * sizes.len(), "{messages} messages");
    assert_eq!(job.world.unexpected(1), 0);
}

#[test]
fn a_consumer_may_hold_all_slots_whose_frames_came_together() {
    let job = Job::new(2);
    let mut producer = job.producer(&options(70, 100));
    let mut consumer = job.consumer();
    for held in [0, 1, 35, 69] {
        let kept: Vec<_> = (0..held)
            .map(|number| {
                producer.send_bytes(&payload(number, 90), 10 * SECOND).unwrap();
                consumer.receive(10 * SECOND).unwrap()
            })
            .collect();
        send_together(&mut producer, &vec![64; 70 - held]);
        let frames: Vec<_> = (held..70).map(|_| consumer.receive(10 * SECOND).unwrap()).collect();
        assert_eq!(producer.send_bytes(&[0; 100], 20_000_000), Err(LAVA_TIMED_OUT));
        for (number, frame) in frames.into_iter().enumerate() {
            check(&frame, number, 64);
            frame.release();
        }
        for (number, frame) in kept.into_iter().enumerate() {
            assert_eq!(frame.bytes(), payload(number, 90));
            frame.release();
        }
    }
}

#[test]
fn a_producer_that_never_pauses_is_heard_and_its_last_frame_comes() {
    const FRAMES: usize = 20_000;
    let job = Job::new(2);
    let mut producer = job.producer(&options(64, 100));
    let mut consumer = job.consumer();
    let sender = std::thread::spawn(move || {
        for number in 0..FRAMES {
            producer.send_bytes(&payload(number, [8, 64][number / 100 % 2]), 20 * SECOND).unwrap();
        }
        // It sends no more, and asks for nothing.
        producer
    });
    for number in 0..FRAMES {
        assert_eq!(taken(&mut consumer, 20 * SECOND), payload(number, [8, 64][number / 100 % 2]));
    }
    drop(sender.join().unwrap());
    assert_eq!(consumer.receive(10 * SECOND).unwrap_err(), LAVA_CLOSED);
}
