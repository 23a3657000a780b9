//! What waits and what does not: timeouts, full channels under each policy.

use std::time::Instant;

use lava::{Outcome, Policy, Producer, ProducerOptions, Timeout};

use crate::common::*;

pub(crate) mod wait_timeouts {
    use lava::Frames;

    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        assert_eq!(producer.wait_consumers(2, Timeout::NONE).expect("wait"), Outcome::TimedOut);
        let start = Instant::now();
        assert_eq!(producer.wait_consumers(2, SHORT).expect("wait"), Outcome::TimedOut);
        assert!(start.elapsed() >= SHORT);
        meet("waited");
        send_number(&mut producer, 0);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        receive_nothing(&mut consumer, Timeout::NONE);
        let start = Instant::now();
        receive_nothing(&mut consumer, SHORT);
        assert!(start.elapsed() >= SHORT);
        let none =
            consumer.receive_many(&mut Frames::with_capacity(1), Timeout::NONE).expect("receive");
        assert_eq!(none, Some(0));
        meet("waited");
        assert!(consumer.receive().expect("receive").is_some());
        receive_end(&mut consumer);
    }
}

pub(crate) mod block_nobody {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 0);
        assert_eq!(producer.try_send_bytes(b"x").expect("send"), Outcome::TimedOut);
        let start = Instant::now();
        assert_eq!(producer.send_bytes_timeout(b"x", SHORT).expect("send"), Outcome::TimedOut);
        assert!(start.elapsed() >= SHORT);
        let mut loan = producer.try_loan(4096).expect("loan").expect("a free slot");
        fill(loan.bytes_mut().expect("host memory"), 0);
        let full = producer.try_send(loan).expect_err("nobody is there");
        assert!(full.is_full());
        let full = producer.send_timeout(full.loan, SHORT).expect_err("nobody is there");
        assert!(full.is_full());
        meet("waited");
        // Nobody said that the consumer is there: the send itself waits for it.
        producer.send_timeout(full.loan, LONG).expect("send");
    }

    pub(crate) fn consumer(channel: &str) {
        meet("waited");
        let (_context, mut consumer) = open_consumer(channel);
        let frame = receive(&mut consumer);
        assert_eq!(frame.info().sequence, 0);
        check_pattern(&frame, 0, 4096);
        drop(frame);
        receive_end(&mut consumer);
    }
}

pub(crate) mod block_slots {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) =
            open_producer(channel, &ProducerOptions::new().capacity(2), 1);
        send_pattern(&mut producer, 0, 4096);
        send_pattern(&mut producer, 1, 4096);
        assert!(producer.try_loan(4096).expect("loan").is_none());
        assert!(producer.loan_timeout(4096, SHORT).expect("loan").is_none());
        // Small ones need no slot.
        drop(
            producer
                .try_loan(lava_sys::LAVA_FRAME_INLINE_SIZE)
                .expect("loan")
                .expect("a small one"),
        );
        meet("full");
        send_pattern(&mut producer, 2, 4096);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        meet("full");
        (0..3).for_each(|number| receive_pattern(&mut consumer, number, 4096));
        receive_end(&mut consumer);
    }
}

pub(crate) mod block_queue {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) =
            open_producer(channel, &ProducerOptions::new().queue_length(4), 1);
        (0..4).for_each(|number| send_number(&mut producer, number));
        assert_eq!(producer.try_send_bytes(b"x").expect("send"), Outcome::TimedOut);
        assert_eq!(producer.send_bytes_timeout(b"x", SHORT).expect("send"), Outcome::TimedOut);
        meet("full");
        send_number(&mut producer, 4);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        meet("full");
        (0..5).for_each(|number| receive_number(&mut consumer, number, number));
        receive_end(&mut consumer);
    }
}

pub(crate) mod block_after_leaving {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        send_number(&mut producer, 0);
        meet("left");
        wait_until("the consumer has left", || producer.consumer_count() == 0);
        assert_eq!(producer.try_send_bytes(b"x").expect("send"), Outcome::TimedOut);
        meet("blocked");
        send_number(&mut producer, 1);
    }

    pub(crate) fn consumer(channel: &str) {
        let (context, mut first) = open_consumer(channel);
        receive_number(&mut first, 0, 0);
        drop((first, context));
        meet("left");
        meet("blocked");
        let (_context, mut second) = open_consumer(channel);
        receive_number(&mut second, 1, 1);
        receive_end(&mut second);
    }
}

fn dropped(producer: &Producer) -> u64 {
    producer.connections().expect("connections")[0].dropped
}

fn drop_producer(channel: &str, policy: Policy) {
    let options = ProducerOptions::new().policy(policy).queue_length(4);
    let (_context, mut producer) = open_producer(channel, &options, 1);
    (0..10).for_each(|number| send_number(&mut producer, number));
    assert_eq!(dropped(&producer), 6);
    meet("dropped");
    meet("received");
    send_number(&mut producer, 10);
    assert_eq!(dropped(&producer), 6);
}

fn drop_consumer(channel: &str, first: u64) {
    let (_context, mut consumer) = open_consumer(channel);
    meet("dropped");
    (first..first + 4).for_each(|number| receive_number(&mut consumer, number, number));
    receive_nothing(&mut consumer, Timeout::NONE);
    meet("received");
    receive_number(&mut consumer, 10, 10);
    receive_end(&mut consumer);
}

pub(crate) mod drop_newest {
    pub(crate) fn producer(channel: &str) {
        super::drop_producer(channel, lava::Policy::DropNewest);
    }

    pub(crate) fn consumer(channel: &str) {
        super::drop_consumer(channel, 0);
    }
}

pub(crate) mod drop_oldest {
    pub(crate) fn producer(channel: &str) {
        super::drop_producer(channel, lava::Policy::DropOldest);
    }

    pub(crate) fn consumer(channel: &str) {
        super::drop_consumer(channel, 6);
    }
}

pub(crate) mod drop_slots {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let options =
            ProducerOptions::new().policy(Policy::DropNewest).capacity(2).max_frame_size(4096);
        let (_context, mut producer) = open_producer(channel, &options, 1);
        send_pattern(&mut producer, 0, 4096);
        send_pattern(&mut producer, 1, 4096);
        meet("held");
        assert!(producer.loan_timeout(4096, LONG).expect("loan").is_none());
        assert_eq!(producer.send_bytes_timeout(&[0; 4096], LONG).expect("send"), Outcome::Done);
        assert_eq!(dropped(&producer), 2);
        meet("dropped");
        meet("released");
        send_pattern(&mut producer, 4, 4096);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let frames = [receive(&mut consumer), receive(&mut consumer)];
        meet("held");
        meet("dropped");
        check_pattern(&frames[0], 0, 4096);
        check_pattern(&frames[1], 1, 4096);
        drop(frames);
        meet("released");
        let frame = receive(&mut consumer);
        assert_eq!(frame.info().sequence, 4);
        check_pattern(&frame, 4, 4096);
        drop(frame);
        receive_end(&mut consumer);
    }
}

pub(crate) mod late_joiner {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let options = ProducerOptions::new().policy(Policy::DropNewest);
        let (_context, mut producer) = open_producer(channel, &options, 0);
        (0..3).for_each(|number| send_number(&mut producer, number));
        meet("sent");
        assert_eq!(producer.wait_consumers(1, LONG).expect("wait"), Outcome::Done);
        send_number(&mut producer, 3);
    }

    pub(crate) fn consumer(channel: &str) {
        meet("sent");
        let (_context, mut consumer) = open_consumer(channel);
        receive_number(&mut consumer, 3, 3);
        receive_end(&mut consumer);
    }
}

pub(crate) mod event_fd {
    use std::os::fd::AsRawFd;

    use lava::{Consumer, Received};

    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        meet("armed");
        send_number(&mut producer, 0);
        send_number(&mut producer, 1);
        meet("received");
        meet("armed again");
        send_pattern(&mut producer, 2, 4096);
        meet("received again");
    }

    fn is_readable(consumer: &Consumer, milliseconds: i32) -> bool {
        let fd = consumer.event_fd().expect("event fd").as_raw_fd();
        let mut wait = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid element.
        let found = unsafe { libc::poll(&mut wait, 1, milliseconds) };
        assert!(found >= 0, "{}", std::io::Error::last_os_error());
        found == 1
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let first = consumer.event_fd().expect("event fd").as_raw_fd();
        assert_eq!(consumer.event_fd().expect("event fd").as_raw_fd(), first);
        receive_nothing(&mut consumer, Timeout::NONE);
        assert!(!is_readable(&consumer, 0));
        meet("armed");
        assert!(is_readable(&consumer, 10_000));
        receive_number(&mut consumer, 0, 0);
        receive_number(&mut consumer, 1, 1);
        meet("received");
        receive_nothing(&mut consumer, Timeout::NONE);
        assert!(!is_readable(&consumer, 0));
        meet("armed again");
        assert!(is_readable(&consumer, 10_000));
        receive_pattern(&mut consumer, 2, 4096);
        receive_nothing(&mut consumer, Timeout::NONE);
        meet("received again");
        assert!(is_readable(&consumer, 10_000));
        let end = consumer.try_receive().expect("receive");
        assert!(matches!(end, Received::Closed), "not the end but {end:?}");
        assert!(is_readable(&consumer, 0));
    }
}
