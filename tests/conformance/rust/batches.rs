//! Many frames in one call, and frames given back in every order.

use lava::{Bytes, Frames, Loans, ProducerOptions};

use crate::common::*;

pub(crate) mod batch_bytes {
    use super::*;

    const PARTS: usize = 100;

    pub(crate) fn producer(channel: &str) {
        let options = ProducerOptions::new()
            .max_frame_size(PARTS as u64)
            .capacity(PARTS as u32)
            .queue_length(128);
        let (_context, mut producer) = open_producer(channel, &options, 1);
        let data: Vec<_> = (0..PARTS).map(|number| filled(number as u64, number)).collect();
        let parts: Vec<_> = data.iter().map(|bytes| Bytes::from(bytes.as_slice())).collect();
        assert_eq!(producer.send_bytes_many(&parts, LONG).expect("send"), PARTS);
        assert_eq!(producer.send_bytes_many(&[], LONG).expect("send"), 0);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let (mut frames, mut number, mut timestamp) = (Frames::with_capacity(32), 0, 0);
        while number < PARTS {
            let received =
                consumer.receive_many(&mut frames, LONG).expect("receive").expect("not the end");
            assert!((1..=32).contains(&received), "{received} frames");
            for frame in &frames {
                let info = frame.info();
                timestamp = if number == 0 { info.timestamp_ns } else { timestamp };
                assert_eq!((info.sequence, info.timestamp_ns), (number as u64, timestamp));
                check_pattern(frame, number as u64, number);
                number += 1;
            }
        }
        assert!(consumer.receive_many(&mut frames, LONG).expect("receive").is_none());
    }
}

pub(crate) mod batch_loans {
    use lava::Timeout;

    use super::*;

    const BATCH: usize = 16;

    pub(crate) fn producer(channel: &str) {
        let options = ProducerOptions::new().capacity(BATCH as u32).max_frame_size(4096);
        let (_context, mut producer) = open_producer(channel, &options, 1);
        for round in 0..20 {
            let (mut loans, mut extra) = (Loans::with_capacity(BATCH), Loans::with_capacity(1));
            while loans.len() < BATCH {
                assert!(producer.loan_many(&mut loans, 4096, LONG).expect("loan") >= 1);
            }
            assert_eq!(producer.loan_many(&mut extra, 4096, Timeout::NONE).expect("loan"), 0);
            for (at, loan) in loans.iter_mut().enumerate() {
                fill(loan.bytes_mut().expect("host memory"), (round * BATCH + at) as u64);
            }
            assert_eq!(producer.send_many(&mut loans, LONG).expect("send"), BATCH);
            assert!(loans.is_empty());
        }
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let (mut frames, mut number) = (Frames::with_capacity(BATCH), 0);
        while number < 20 * BATCH as u64 {
            assert!(consumer.receive_many(&mut frames, LONG).expect("receive").is_some());
            for frame in &frames {
                check_pattern(frame, number, 4096);
                number += 1;
            }
            frames.clear();
        }
        receive_end(&mut consumer);
    }
}

fn send_patterns(channel: &str, count: u64, size: usize) {
    let options = ProducerOptions::new().capacity(4).max_frame_size(size as u64);
    let (_context, mut producer) = open_producer(channel, &options, 1);
    (0..count).for_each(|number| send_pattern(&mut producer, number, size));
}

pub(crate) mod release_order {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        send_patterns(channel, 200, 1000);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        for round in 0..50 {
            let mut frames: Vec<_> = (0..4).map(|_| Some(receive(&mut consumer))).collect();
            for (at, frame) in (0..).zip(frames.iter().flatten()) {
                check_pattern(frame, round * 4 + at, 1000);
            }
            for at in [2, 0, 3, 1] {
                frames[at] = None;
            }
        }
        receive_end(&mut consumer);
    }
}

pub(crate) mod release_thread {
    use std::sync::mpsc::sync_channel;

    use super::*;

    pub(crate) fn producer(channel: &str) {
        send_patterns(channel, 1000, 512);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let (sender, frames) = sync_channel(4);
        let releasing = std::thread::spawn(move || {
            for (number, frame) in (0..1000).zip(&frames) {
                check_pattern(&frame, number, 512);
            }
        });
        for _ in 0..1000 {
            sender.send(receive(&mut consumer)).expect("the thread lives");
        }
        releasing.join().expect("no panic");
        receive_end(&mut consumer);
    }
}
