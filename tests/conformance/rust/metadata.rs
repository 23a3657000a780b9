//! Tags, timestamps, tensors.

use lava::{DataType, ErrorKind, Memory, Producer, ProducerOptions, Tensor};

use crate::common::*;

#[allow(clippy::module_inception, reason = "the scenario's name")]
pub(crate) mod metadata {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_first, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        let options = ProducerOptions::new().no_timestamp();
        let (_second, mut quiet) = open_producer(&format!("{channel}.quiet"), &options, 1);
        let mut loan = producer.loan_timeout(100, LONG).expect("loan").expect("a slot in time");
        loan.set_tag(7).expect("tag");
        loan.set_timestamp(123_456_789).expect("timestamp");
        producer.send_timeout(loan, LONG).expect("send");
        meet("before");
        send_number(&mut producer, 1);
        send_number(&mut quiet, 0);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_first, mut consumer) = open_consumer(channel);
        let (_second, mut quiet) = open_consumer(&format!("{channel}.quiet"));
        let info = receive(&mut consumer).info();
        assert_eq!((info.tag, info.timestamp_ns, info.sequence), (7, 123_456_789, 0));
        let transport = Some(expected_transport().0);
        assert_eq!((info.memory, info.transport), (Memory::Standard, transport));
        let before = now();
        meet("before");
        let info = receive(&mut consumer).info();
        assert_eq!((info.tag, info.sequence), (0, 1));
        assert!((before..=now()).contains(&info.timestamp_ns), "not the time of the send");
        assert_eq!(receive(&mut quiet).info().timestamp_ns, 0);
        receive_end(&mut quiet);
        receive_end(&mut consumer);
    }
}

pub(crate) mod tensor {
    use lava::{Consumer, Frame};

    use super::*;

    fn send(producer: &mut Producer, bytes: &[u8], tensor: Option<&Tensor>) {
        let mut loan =
            producer.loan_timeout(bytes.len(), LONG).expect("loan").expect("a slot in time");
        loan.write_at(0, bytes).expect("inside the loan");
        if tensor.is_some() {
            loan.set_tensor(tensor).expect("tensor");
        }
        producer.send_timeout(loan, LONG).expect("send");
    }

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        let floats: Vec<u8> =
            (0..40).flat_map(|at| ((at - 16) as f32 * 0.5).to_ne_bytes()).collect();
        let tensor = Tensor::of::<f32>(&[2, 3, 4]).expect("tensor").with_byte_offset(64);
        send(&mut producer, &floats, Some(&tensor));
        let integers: Vec<u8> =
            [10_i64, -20, 30, -40].iter().flat_map(|number| number.to_ne_bytes()).collect();
        let reversed =
            Tensor::of::<i64>(&[4]).and_then(|tensor| tensor.with_strides(&[-1])).expect("tensor");
        send(&mut producer, &integers, Some(&reversed.with_byte_offset(24)));
        send(&mut producer, b"A", Some(&Tensor::of::<u8>(&[]).expect("tensor")));
        send(
            &mut producer,
            &floats[..16],
            Some(&Tensor::new(DataType::C128, &[5, 0]).expect("tensor")),
        );
        send(&mut producer, &floats[..16], None);
    }

    fn receive_tensor(consumer: &mut Consumer) -> (Frame, Tensor) {
        let frame = receive(consumer);
        let tensor = frame.tensor().expect("a right tensor").expect("a tensor");
        (frame, tensor)
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let (frame, tensor) = receive_tensor(&mut consumer);
        assert_eq!((tensor.data_type(), tensor.shape()), (DataType::F32, &[2, 3, 4][..]));
        assert_eq!((tensor.strides(), tensor.byte_offset()), (Some(&[12, 4, 1][..]), 64));
        let mut number = [0; 4];
        frame.read_at(64 + 23 * 4, &mut number).expect("inside the frame");
        assert_eq!(f32::from_ne_bytes(number), 11.5);

        let (frame, tensor) = receive_tensor(&mut consumer);
        assert_eq!((tensor.data_type(), tensor.shape()), (DataType::I64, &[4][..]));
        assert_eq!((tensor.strides(), tensor.byte_offset()), (Some(&[-1][..]), 24));
        let mut last = [0; 8];
        frame.read_at(24, &mut last).expect("inside the frame");
        assert_eq!(i64::from_ne_bytes(last), -40);

        let (frame, tensor) = receive_tensor(&mut consumer);
        assert_eq!((tensor.data_type(), tensor.shape()), (DataType::U8, &[][..]));
        assert_eq!(frame.copy_to_vec::<u8>().expect("readable"), b"A");

        let (_frame, tensor) = receive_tensor(&mut consumer);
        assert_eq!((tensor.data_type(), tensor.shape()), (DataType::C128, &[5, 0][..]));

        assert!(receive(&mut consumer).tensor().expect("no fault").is_none());
        receive_end(&mut consumer);
    }
}

/// A negative shape and nine dimensions cannot be said in Rust: `usize`, and `Tensor::new` refuses.
pub(crate) mod tensor_refused {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        let mut loan = producer.loan_timeout(64, LONG).expect("loan").expect("a slot in time");
        fill(loan.bytes_mut().expect("host memory"), 5);
        let of = |shape: &[usize]| Tensor::of::<f32>(shape).expect("tensor");
        for outside in [
            of(&[17]),
            of(&[16]).with_byte_offset(4),
            of(&[4]).with_strides(&[-1]).expect("one stride"),
        ] {
            assert_fails(loan.set_tensor(Some(&outside)), ErrorKind::TooLarge);
        }
        let most = i64::MAX as usize;
        let no_lanes = Tensor::new(DataType { lanes: 0, ..DataType::F32 }, &[4]).expect("tensor");
        for wrong in [of(&[most, most]), no_lanes] {
            assert_fails(loan.set_tensor(Some(&wrong)), ErrorKind::InvalidArgument);
        }
        assert_fails(Tensor::of::<f32>(&[1; 9]), ErrorKind::InvalidArgument);
        loan.set_tensor(None).expect("no tensor");
        producer.send_timeout(loan, LONG).expect("send");
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let frame = receive(&mut consumer);
        assert!(frame.tensor().expect("no fault").is_none());
        check_pattern(&frame, 5, 64);
        drop(frame);
        receive_end(&mut consumer);
    }
}
