//! Names, who may connect to whom, several of everything.

use lava::{Consumer, ConsumerOptions, Context, ErrorKind, Producer, ProducerOptions};

use crate::common::*;

pub(crate) mod consumer_first {
    use std::time::Instant;

    use super::*;

    pub(crate) fn producer(channel: &str) {
        meet("timed out");
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        send_number(&mut producer, 0);
    }

    pub(crate) fn consumer(channel: &str) {
        let context = Context::new().expect("context");
        let start = Instant::now();
        let early = Consumer::open(&context, channel, &ConsumerOptions::new().timeout(SHORT));
        assert!(start.elapsed() >= SHORT);
        assert!(assert_fails(early, ErrorKind::TimedOut).contains(channel));
        meet("timed out");
        // Whichever of the two comes first now, they find each other.
        let mut consumer = crate::common::consumer(&context, channel);
        receive_number(&mut consumer, 0, 0);
        receive_end(&mut consumer);
    }
}

pub(crate) mod consumers_max {
    use super::*;

    const MOST: u32 = lava_sys::LAVA_CONSUMERS_MAX;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), MOST);
        assert_eq!(producer.consumer_count(), MOST as usize);
        (0..3).for_each(|number| send_pattern(&mut producer, number, 100));
        meet("sent");
        meet("one left");
    }

    pub(crate) fn consumer(channel: &str) {
        let context = Context::new().expect("context");
        let open = || Consumer::open(&context, channel, &ConsumerOptions::new());
        let mut consumers: Vec<_> = (0..MOST).map(|_| open().expect("consumer")).collect();
        assert_fails(open(), ErrorKind::Refused);
        meet("sent");
        for consumer in &mut consumers {
            (0..3).for_each(|number| receive_pattern(consumer, number, 100));
        }
        consumers.remove(0);
        // The producer learns of it in its own time.
        wait_until("a place is free", || match open() {
            Ok(consumer) => {
                consumers.push(consumer);
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
                false
            }
        });
        meet("one left");
        consumers.iter_mut().for_each(receive_end);
    }
}

pub(crate) mod name_rules {
    use super::*;

    const LONGEST: &str = "n234567890123456789012345678901234567890123456789012345678901234";

    fn wrong_names() -> Vec<String> {
        let mut names: Vec<_> =
            ["", "/a", "a/", "a//b", "-a", ".a", "_a", "a b", "a:b", "a\n", "a\\b", "ä"]
                .map(str::to_owned)
                .into();
        names.push(format!("{LONGEST}5"));
        names
    }

    fn right_name(channel: &str) -> String {
        format!("{channel}/0.Part_of-a/Name")
    }

    pub(crate) fn producer(channel: &str) {
        let context = Context::new().expect("context");
        for name in wrong_names() {
            let refused = Producer::create(&context, &name, &ProducerOptions::new());
            assert_fails(refused, ErrorKind::InvalidArgument);
        }
        drop(crate::common::producer(&context, LONGEST, &ProducerOptions::new()));
        let (_context, mut producer) =
            open_producer(&right_name(channel), &ProducerOptions::new(), 1);
        send_number(&mut producer, 0);
    }

    pub(crate) fn consumer(channel: &str) {
        let context = Context::new().expect("context");
        for name in wrong_names() {
            let refused = Consumer::open(&context, &name, &ConsumerOptions::new());
            assert_fails(refused, ErrorKind::InvalidArgument);
        }
        let (_context, mut consumer) = open_consumer(&right_name(channel));
        receive_number(&mut consumer, 0, 0);
        receive_end(&mut consumer);
    }
}

pub(crate) mod name_clash {
    use super::*;

    fn create_clashing(context: &Context, channel: &str) {
        let clash = Producer::create(context, channel, &ProducerOptions::new());
        assert!(assert_fails(clash, ErrorKind::AlreadyExists).contains(channel));
    }

    pub(crate) fn producer(channel: &str) {
        let (context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        create_clashing(&context, channel);
        create_clashing(&Context::new().expect("context"), channel);
        meet("clashed");
        send_number(&mut producer, 0);
    }

    pub(crate) fn consumer(channel: &str) {
        let (context, mut consumer) = open_consumer(channel);
        create_clashing(&context, channel);
        meet("clashed");
        receive_number(&mut consumer, 0, 0);
        receive_end(&mut consumer);
    }
}

pub(crate) mod two_contexts {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_one, mut first) =
            open_producer(&format!("{channel}.first"), &ProducerOptions::new(), 1);
        let (_two, mut second) =
            open_producer(&format!("{channel}.second"), &ProducerOptions::new(), 1);
        for number in 0..50 {
            send_number(&mut first, number);
            send_number(&mut second, 1000 + number);
        }
        drop(first);
        meet("first closed");
        send_number(&mut second, 1050);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_one, mut first) = open_consumer(&format!("{channel}.first"));
        let (_two, mut second) = open_consumer(&format!("{channel}.second"));
        (0..50).for_each(|number| receive_number(&mut first, number, number));
        receive_end(&mut first);
        drop(first);
        meet("first closed");
        (0..51).for_each(|number| receive_number(&mut second, 1000 + number, number));
        receive_end(&mut second);
    }
}

pub(crate) mod same_process {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        let mut same_context = crate::common::consumer(&context, channel);
        let (_other, mut own_context) = open_consumer(channel);
        assert_eq!(producer.consumer_count(), 3);
        for number in 0..20 {
            send_pattern(&mut producer, number, 1000);
            receive_pattern(&mut same_context, number, 1000);
            receive_pattern(&mut own_context, number, 1000);
        }
        drop((producer, context));
        receive_end(&mut same_context);
        receive_end(&mut own_context);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        (0..20).for_each(|number| receive_pattern(&mut consumer, number, 1000));
        receive_end(&mut consumer);
    }
}

pub(crate) mod ping_pong {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_one, mut ping) =
            open_producer(&format!("{channel}.ping"), &ProducerOptions::new(), 1);
        let (_two, mut pong) = open_consumer(&format!("{channel}.pong"));
        for number in 0..1000 {
            send_number(&mut ping, number);
            receive_number(&mut pong, number * 3, number);
        }
        drop(ping);
        receive_end(&mut pong);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_one, mut ping) = open_consumer(&format!("{channel}.ping"));
        let (_two, mut pong) =
            open_producer(&format!("{channel}.pong"), &ProducerOptions::new(), 1);
        for number in 0..1000 {
            receive_number(&mut ping, number, number);
            send_number(&mut pong, number * 3);
        }
        receive_end(&mut ping);
    }
}
