//! Buffers of the user, sent without copying.

use lava::{Buffer, BufferOptions, ErrorKind, Outcome, ProducerOptions, Tensor, Timeout};

use crate::common::*;

const BUFFER: u64 = 1_048_576;
const OFFSET: u64 = 4096;
const SIZE: u64 = 65536;

pub(crate) mod send_buffer {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        let mut buffer =
            Buffer::allocate(&context, &BufferOptions::new(BUFFER).shareable()).expect("buffer");
        let range = OFFSET..OFFSET + SIZE;
        for number in 0..100 {
            buffer.write(OFFSET, &filled(number, SIZE as usize)).expect("inside the buffer");
            let sent =
                producer.send_buffer(&buffer, range.clone(), number, None, LONG).expect("send");
            assert_eq!(sent, Outcome::Done);
            assert_eq!(producer.wait_released(Some(&buffer), LONG).expect("wait"), Outcome::Done);
        }
        let tensor = |size: u64| Tensor::of::<u8>(&[size as usize]).expect("tensor");
        let outside =
            producer.send_buffer(&buffer, range.clone(), 0, Some(&tensor(SIZE + 1)), LONG);
        assert_fails(outside, ErrorKind::TooLarge);
        let sent =
            producer.send_buffer(&buffer, range, 100, Some(&tensor(SIZE)), LONG).expect("send");
        assert_eq!(sent, Outcome::Done);
        // The frame keeps the memory.
        drop(buffer);
        meet("destroyed");
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let mut address = None;
        for number in 0..100 {
            let frame = receive(&mut consumer);
            check_pattern(&frame, number, SIZE as usize);
            let info = frame.info();
            assert!(info.in_buffer && info.tag == number);
            assert_eq!(*address.get_or_insert(frame.as_ptr()), frame.as_ptr(), "frame {number}");
        }
        meet("destroyed");
        let frame = receive(&mut consumer);
        let tensor = frame.tensor().expect("a right tensor").expect("a tensor");
        assert_eq!(tensor.shape(), [SIZE as usize]);
        let (mut buffer, offset) = frame.buffer().expect("buffer");
        assert_eq!(buffer.as_ptr().wrapping_add(offset as usize).cast_const(), frame.as_ptr());
        let info = buffer.info().expect("info");
        assert!(info.size >= offset + SIZE && info.read_only);
        assert_fails(buffer.fill(0, 1, 0), ErrorKind::Permission);
        check_pattern(&frame, 99, SIZE as usize);
        drop(frame);
        receive_end(&mut consumer);
        drop(consumer);
    }
}

pub(crate) mod send_buffer_refused {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        let allocate =
            |options: &BufferOptions| Buffer::allocate(&context, options).expect("buffer");
        let own = allocate(&BufferOptions::new(BUFFER));
        let open = allocate(&BufferOptions::new(BUFFER).shareable().writable_by_importers());
        let good = allocate(&BufferOptions::new(BUFFER).shareable());
        for (buffer, range, kind) in [
            (&own, 0..SIZE, ErrorKind::Unsupported),
            (&open, 0..SIZE, ErrorKind::Unsupported),
            (&good, 1..BUFFER + 1, ErrorKind::TooLarge),
            (&good, u64::MAX - 2..u64::MAX, ErrorKind::TooLarge),
        ] {
            assert_fails(producer.send_buffer(buffer, range, 0, None, LONG), kind);
        }
        send_number(&mut producer, 1);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        receive_number(&mut consumer, 1, 0);
        receive_end(&mut consumer);
    }
}

pub(crate) mod wait_released {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        assert_eq!(producer.wait_released(None, Timeout::NONE).expect("wait"), Outcome::Done);
        send_pattern(&mut producer, 6, 4096);
        assert_eq!(producer.wait_released(None, Timeout::NONE).expect("wait"), Outcome::TimedOut);
        meet("held");
        assert_eq!(producer.wait_released(None, SHORT).expect("wait"), Outcome::TimedOut);
        meet("waited");
        assert_eq!(producer.wait_released(None, LONG).expect("wait"), Outcome::Done);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let frame = receive(&mut consumer);
        meet("held");
        meet("waited");
        check_pattern(&frame, 6, 4096);
        drop(frame);
        receive_end(&mut consumer);
    }
}
