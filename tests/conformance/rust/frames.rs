//! Order, sizes, alignment, and what one does with a loan or a frame.

use lava::{ErrorKind, ProducerOptions};

use crate::common::*;

const SIZES: [usize; 18] =
    [0, 1, 8, 31, 32, 33, 39, 40, 41, 63, 64, 65, 4095, 4096, 4097, 65536, 1_048_575, MEBIBYTE];
const MEBIBYTE: usize = 1_048_576;
const INLINE: usize = lava_sys::LAVA_FRAME_INLINE_SIZE;

fn numbered() -> impl Iterator<Item = (u64, usize)> {
    (0..).zip(SIZES)
}

fn send_numbers(channel: &str, count: u64, consumers: u32) {
    let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), consumers);
    (0..count).for_each(|number| send_number(&mut producer, number));
}

fn receive_numbers(channel: &str, count: u64) {
    let (_context, mut consumer) = open_consumer(channel);
    (0..count).for_each(|number| receive_number(&mut consumer, number, number));
    receive_end(&mut consumer);
}

pub(crate) mod order {
    pub(crate) fn producer(channel: &str) {
        super::send_numbers(channel, 1000, 1);
    }

    pub(crate) fn consumer(channel: &str) {
        super::receive_numbers(channel, 1000);
    }
}

pub(crate) mod two_consumers {
    pub(crate) fn producer(channel: &str) {
        super::send_numbers(channel, 1000, 2);
    }

    pub(crate) fn consumer(channel: &str) {
        super::receive_numbers(channel, 1000);
    }
}

pub(crate) mod stream {
    pub(crate) fn producer(channel: &str) {
        super::send_numbers(channel, 20_000, 1);
    }

    pub(crate) fn consumer(channel: &str) {
        super::receive_numbers(channel, 20_000);
    }
}

pub(crate) mod sizes {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let options = ProducerOptions::new().max_frame_size(MEBIBYTE as u64);
        let (_context, mut producer) = open_producer(channel, &options, 1);
        numbered().for_each(|(number, size)| send_pattern(&mut producer, number, size));
        assert_fails(producer.try_loan(MEBIBYTE + 1), ErrorKind::TooLarge);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        for (number, size) in numbered() {
            let frame = receive(&mut consumer);
            check_pattern(&frame, number, size);
            assert_eq!(
                (frame.info().size, frame.info().is_inline()),
                (size as u64, size <= INLINE)
            );
        }
        receive_end(&mut consumer);
    }
}

pub(crate) mod sizes_copied {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        for (number, size) in numbered() {
            assert!(
                producer.send_bytes_timeout(&filled(number, size), LONG).expect("send").is_done()
            );
        }
        assert_fails(producer.try_send_bytes(&vec![0; MEBIBYTE + 1]), ErrorKind::TooLarge);
    }

    pub(crate) fn consumer(channel: &str) {
        super::sizes::consumer(channel);
    }
}

pub(crate) mod sizes_tagged {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        for (number, size) in numbered() {
            let mut loan =
                producer.loan_timeout(size, LONG).expect("loan").expect("a slot in time");
            loan.set_tag(1000 + number).expect("tag");
            fill(loan.bytes_mut().expect("host memory"), number);
            producer.send_timeout(loan, LONG).expect("send");
        }
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        for (number, size) in numbered() {
            let frame = receive(&mut consumer);
            check_pattern(&frame, number, size);
            assert_eq!(frame.info().tag, 1000 + number);
            assert!(frame.info().is_inline() || size > INLINE - 8, "{size} bytes are not inline");
        }
        receive_end(&mut consumer);
    }
}

pub(crate) mod huge_frame {
    use super::*;

    const SIZE: usize = (1 << 32) + 8192;

    pub(crate) fn producer(channel: &str) {
        let options = ProducerOptions::new().max_frame_size(SIZE as u64).capacity(1);
        let (_context, mut producer) = open_producer(channel, &options, 1);
        let mut loan = producer.loan_timeout(SIZE, LONG).expect("loan").expect("a slot in time");
        let bytes = loan.bytes_mut().expect("host memory");
        fill(&mut bytes[..4096], 1);
        fill(&mut bytes[SIZE - 4096..], 2);
        producer.send_timeout(loan, LONG).expect("send");
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let frame = receive(&mut consumer);
        assert_eq!(frame.len(), SIZE);
        let mut part = vec![0; 4096];
        for (offset, number) in [(0, 1), (SIZE - 4096, 2)] {
            frame.read_at(offset, &mut part).expect("inside the frame");
            assert!(part == filled(number, 4096), "bytes at {offset}");
        }
        drop(frame);
        receive_end(&mut consumer);
    }
}

pub(crate) mod alignment {
    use lava::Consumer;

    use super::*;

    pub(crate) fn producer(channel: &str) {
        let options = ProducerOptions::new().max_frame_size(100);
        let (_first, mut plain) = open_producer(&format!("{channel}.plain"), &options, 1);
        let (_second, mut pages) = open_producer(channel, &options.alignment(4096), 1);
        for number in 0..8 {
            send_pattern(&mut plain, number, 100);
            send_pattern(&mut pages, number, 100);
        }
    }

    fn receive_aligned(consumer: &mut Consumer, alignment: usize) {
        let frames: Vec<_> = (0..8).map(|_| receive(consumer)).collect();
        for (number, frame) in (0..).zip(&frames) {
            assert_eq!(frame.as_ptr() as usize % alignment, 0, "frame {number}");
            check_pattern(frame, number, 100);
        }
    }

    pub(crate) fn consumer(channel: &str) {
        let (_first, mut plain) = open_consumer(&format!("{channel}.plain"));
        let (_second, mut pages) = open_consumer(channel);
        receive_aligned(&mut plain, 64);
        receive_aligned(&mut pages, 4096);
    }
}

pub(crate) mod loan_discarded {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) =
            open_producer(channel, &ProducerOptions::new().capacity(1), 1);
        for _ in 0..10 {
            drop(producer.try_loan(4096).expect("loan").expect("a free slot"));
        }
        send_pattern(&mut producer, 9, 4096);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let frame = receive(&mut consumer);
        check_pattern(&frame, 9, 4096);
        assert_eq!(frame.info().sequence, 0);
        drop(frame);
        receive_end(&mut consumer);
    }
}

pub(crate) mod set_size {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        let mut loan = producer.loan_timeout(4096, LONG).expect("loan").expect("a slot in time");
        fill(loan.bytes_mut().expect("host memory"), 1);
        loan.set_len(100).expect("smaller");
        assert_eq!(loan.len(), 100);
        producer.send_timeout(loan, LONG).expect("send");
        let mut loan = producer.loan_timeout(100, LONG).expect("loan").expect("a slot in time");
        let capacity = loan.info().capacity;
        assert!(loan.info().size == 100 && capacity >= 100);
        assert_fails(loan.set_len(capacity as usize + 1), ErrorKind::TooLarge);
        loan.set_len(capacity as usize).expect("larger");
        loan.set_tag(capacity).expect("tag");
        fill(loan.bytes_mut().expect("host memory"), 2);
        producer.send_timeout(loan, LONG).expect("send");
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        receive_pattern(&mut consumer, 1, 100);
        let frame = receive(&mut consumer);
        let info = frame.info();
        assert_eq!((info.size, info.capacity), (info.tag, info.tag));
        check_pattern(&frame, 2, info.size as usize);
        drop(frame);
        receive_end(&mut consumer);
    }
}

/// A received frame cannot be written, tagged or resized in Rust at all: `Frame` has no such methods.
pub(crate) mod read_write {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        let data = filled(3, 1000);
        let mut loan = producer.loan_timeout(1000, LONG).expect("loan").expect("a slot in time");
        loan.write_at(0, &data[..10]).expect("inside the loan");
        loan.write_at(10, &data[10..]).expect("inside the loan");
        loan.write_at::<u8>(1000, &[]).expect("nothing, at the end");
        assert_fails(loan.write_at(901, &data[..100]), ErrorKind::TooLarge);
        assert_fails(loan.write_at(usize::MAX, &data[..2]), ErrorKind::TooLarge);
        producer.send_timeout(loan, LONG).expect("send");
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let frame = receive(&mut consumer);
        let mut part = [0; 100];
        frame.read_at(450, &mut part).expect("inside the frame");
        assert!(part[..] == filled(3, 1000)[450..550]);
        frame.read_at(1000, &mut []).expect("nothing, at the end");
        assert_fails(frame.read_at(950, &mut part), ErrorKind::TooLarge);
        assert_fails(frame.read_at(usize::MAX, &mut part), ErrorKind::TooLarge);
        check_pattern(&frame, 3, 1000);
        drop(frame);
        receive_end(&mut consumer);
    }
}

pub(crate) mod read_only {
    use std::io::{Write, pipe};
    use std::os::fd::AsRawFd;

    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        send_pattern(&mut producer, 4, 4096);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let frame = receive(&mut consumer);
        let (source, mut end) = pipe().expect("pipe");
        end.write_all(b"x").expect("pipe");
        // The kernel checks the page as the processor would; a process that wrote itself would die by SIGSEGV.
        // SAFETY: the address is mapped; the kernel refuses to write to it, or the test fails.
        let read = unsafe { libc::read(source.as_raw_fd(), frame.as_ptr().cast_mut().cast(), 1) };
        let error = std::io::Error::last_os_error().raw_os_error();
        assert_eq!((read, error), (-1, Some(libc::EFAULT)), "the frame's memory could be written");
        check_pattern(&frame, 4, 4096);
        drop(frame);
        receive_end(&mut consumer);
    }
}
