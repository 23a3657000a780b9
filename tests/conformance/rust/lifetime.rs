//! Ends: of handles in every order, of channels, of processes.

use lava::{
    Buffer, BufferOptions, ConnectionState, Context, ErrorKind, Location, Producer, ProducerOptions,
};

use crate::common::*;

fn one_slot() -> ProducerOptions {
    ProducerOptions::new().capacity(1).max_frame_size(4096)
}

pub(crate) mod frame_after_consumer {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &one_slot(), 1);
        send_pattern(&mut producer, 1, 4096);
        meet("destroyed");
        assert!(producer.try_loan(4096).expect("loan").is_none());
        meet("checked");
        assert!(producer.loan_timeout(4096, LONG).expect("loan").is_some());
    }

    pub(crate) fn consumer(channel: &str) {
        let (context, mut consumer) = open_consumer(channel);
        let frame = receive(&mut consumer);
        drop((consumer, context));
        meet("destroyed");
        meet("checked");
        check_pattern(&frame, 1, 4096);
    }
}

pub(crate) mod frame_after_producer {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        send_pattern(&mut producer, 2, 4096);
        meet("received");
        drop((producer, context));
        die();
    }

    pub(crate) fn consumer(channel: &str) {
        let (context, mut consumer) = open_consumer(channel);
        let frame = receive(&mut consumer);
        meet("received");
        receive_end(&mut consumer);
        check_pattern(&frame, 2, 4096);
        drop((consumer, context));
        check_pattern(&frame, 2, 4096);
    }
}

pub(crate) mod frames_after_context {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        drop(context);
        (0..20).for_each(|number| send_pattern(&mut producer, number, 4096));
    }

    pub(crate) fn consumer(channel: &str) {
        let (context, mut consumer) = open_consumer(channel);
        drop(context);
        (0..19).for_each(|number| receive_pattern(&mut consumer, number, 4096));
        let frame = receive(&mut consumer);
        receive_end(&mut consumer);
        drop(consumer);
        check_pattern(&frame, 19, 4096);
    }
}

pub(crate) mod closed {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        (0..5).for_each(|number| send_pattern(&mut producer, number, 1000));
        drop((producer, context));
        meet("ended");
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        meet("ended");
        (0..5).for_each(|number| receive_pattern(&mut consumer, number, 1000));
        (0..3).for_each(|_| receive_end(&mut consumer));
        let connection = consumer.connection().expect("connection");
        assert_eq!((connection.state, connection.frames), (ConnectionState::Closed, 5));
    }
}

pub(crate) mod peer_lost {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        (0..5).for_each(|number| send_pattern(&mut producer, number, 1000));
        meet("sent");
        die();
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        meet("sent");
        (0..5).for_each(|number| receive_pattern(&mut consumer, number, 1000));
        for _ in 0..3 {
            assert_fails(consumer.receive_timeout(LONG), ErrorKind::PeerLost);
        }
        assert_eq!(consumer.connection().expect("connection").state, ConnectionState::Lost);
    }
}

pub(crate) mod consumer_lost {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &one_slot(), 1);
        send_pattern(&mut producer, 3, 4096);
        assert!(producer.loan_timeout(4096, LONG).expect("loan").is_some());
        wait_until("the consumer is gone", || producer.consumer_count() == 0);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let frame = receive(&mut consumer);
        check_pattern(&frame, 3, 4096);
        die();
    }
}

pub(crate) mod reopen {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let context = Context::new().expect("context");
        for number in 0..5 {
            let mut producer = crate::common::producer(&context, channel, &ProducerOptions::new());
            assert!(producer.wait_consumers(1, LONG).expect("wait").is_done());
            send_number(&mut producer, number);
            drop(producer);
            meet("closed");
        }
    }

    pub(crate) fn consumer(channel: &str) {
        let context = Context::new().expect("context");
        for number in 0..5 {
            let mut consumer = crate::common::consumer(&context, channel);
            receive_number(&mut consumer, number, 0);
            receive_end(&mut consumer);
            drop(consumer);
            meet("closed");
        }
    }
}

pub(crate) mod forked {
    use super::*;

    /// The child answers by its exit status: 0 if every call said that the object is the parent's. It must not panic,
    /// because the panic would unwind into the parent's part of the scenario.
    fn forked_calls(
        context: Context,
        mut producer: Producer,
        loan: lava::Loan,
        buffer: Buffer,
    ) -> i32 {
        let is_forked = |error: Option<lava::Error>| {
            error.is_some_and(|error| error.kind() == ErrorKind::Forked)
        };
        let calls = [
            is_forked(producer.try_send_bytes(b"x").err()),
            is_forked(producer.try_loan(4096).err()),
            is_forked(producer.wait_consumers(1, lava::Timeout::NONE).err()),
            is_forked(Producer::create(&context, "forked.child", &ProducerOptions::new()).err()),
            is_forked(Location::current(&context).err()),
            is_forked(producer.try_send(loan).err().map(|refused| refused.error)),
        ];
        drop((buffer, producer, context));
        calls.iter().position(|right| !right).map_or(0, |at| at as i32 + 1)
    }

    pub(crate) fn producer(channel: &str) {
        let (context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        send_number(&mut producer, 0);
        let loan = producer.loan_timeout(4096, LONG).expect("loan").expect("a slot in time");
        let buffer =
            Buffer::allocate(&context, &BufferOptions::new(4096).shareable()).expect("buffer");
        // SAFETY: this thread holds no lock that the child needs; the child ends by `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let status = forked_calls(context, producer, loan, buffer);
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(status) };
        }
        let mut status = 0;
        // SAFETY: `status` is a place for the answer.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(
            (libc::WIFEXITED(status), libc::WEXITSTATUS(status)),
            (true, 0),
            "call of this number"
        );
        drop((loan, buffer));
        send_number(&mut producer, 1);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        receive_number(&mut consumer, 0, 0);
        receive_number(&mut consumer, 1, 1);
        receive_end(&mut consumer);
    }
}
