//! What lava tells about itself: transports, reasons, counters, locations.

use lava::{
    ConnectionInfo, ConnectionState, Consumer, ConsumerOptions, Context, ErrorKind, Evidence,
    Location, ProducerOptions, Scope, Transport,
};

use crate::common::*;

/// The process id that the other part sent as a number.
fn receive_process(consumer: &mut Consumer) -> u32 {
    let bytes = receive(consumer).copy_to_vec::<u8>().expect("readable frame");
    u64::from_le_bytes(bytes.try_into().expect("eight bytes")) as u32
}

pub(crate) mod require {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        send_number(&mut producer, 0);
    }

    pub(crate) fn consumer(channel: &str) {
        let context = Context::new().expect("context");
        let vulkan = ConsumerOptions::new().require_transport(Transport::Vulkan);
        let refused = Consumer::open(&context, channel, &vulkan);
        assert!(assert_fails(refused, ErrorKind::Requirement).contains("vulkan"));
        let either = vulkan.require_transport(expected_transport().0).max_copies(expected_copies());
        let mut consumer = Consumer::open(&context, channel, &either).expect("consumer");
        let connection = consumer.connection().expect("connection");
        let expected = (expected_transport().0, expected_copies());
        assert_eq!((connection.transport, connection.copies), expected);
        assert!(!connection.reason.is_empty());
        receive_number(&mut consumer, 0, 0);
        receive_end(&mut consumer);
    }
}

pub(crate) mod describe {
    use super::*;

    fn check_connection(connection: &ConnectionInfo, other: u32) {
        let expected = (expected_transport().0, expected_copies());
        assert_eq!((connection.transport, connection.copies), expected);
        assert_eq!(connection.state, ConnectionState::Open);
        assert_eq!((connection.peer_process, connection.peer.process()), (Some(other), other));
        assert_eq!((connection.frames, connection.bytes, connection.dropped), (2, 8 + 4096, 0));
        assert!(!connection.reason.is_empty());
    }

    fn check_text(text: &str, channel: &str) {
        assert!(text.contains(expected_transport().1) && text.contains(channel), "{text}");
    }

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        let (_back, mut back) = open_consumer(&format!("{channel}.back"));
        send_number(&mut producer, std::process::id().into());
        send_pattern(&mut producer, 1, 4096);
        let other = receive_process(&mut back);
        let connections = producer.connections().expect("connections");
        assert_eq!(connections.len(), 1);
        check_connection(&connections[0], other);
        check_text(&producer.describe().expect("description"), channel);
        drop(back);
        meet("described");
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let (_back, mut back) =
            open_producer(&format!("{channel}.back"), &ProducerOptions::new(), 1);
        let other = receive_process(&mut consumer);
        let held = receive(&mut consumer);
        let connection = consumer.connection().expect("connection");
        check_connection(&connection, other);
        assert_eq!((connection.held, connection.queued), (1, 0));
        drop(held);
        for rejection in &connection.rejections {
            assert!(rejection.transport != expected_transport().0 && !rejection.reason.is_empty());
        }
        check_text(&consumer.describe().expect("description"), channel);
        send_number(&mut back, std::process::id().into());
        meet("described");
        receive_end(&mut consumer);
    }
}

pub(crate) mod list_channels {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        send_number(&mut producer, std::process::id().into());
        meet("listed");
    }

    pub(crate) fn consumer(channel: &str) {
        let (context, mut consumer) = open_consumer(channel);
        let producer = receive_process(&mut consumer);
        let list = context.list_channels(LONG).expect("list");
        assert!(list.starts_with('[') && list.contains(channel), "{list}");
        assert!(list.contains(&producer.to_string()), "{list}");
        meet("listed");
        receive_end(&mut consumer);
    }
}

pub(crate) mod scope {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (context, mut producer) = open_producer(channel, &ProducerOptions::new(), 1);
        let location = Location::current(&context).expect("location");
        assert_eq!(location.process(), std::process::id());
        assert!(!location.host().is_empty());
        // With the NUL that a C program needs to read it in place.
        let text = format!("{location}\0");
        assert!(producer.send_bytes_timeout(text.as_bytes(), LONG).expect("send").is_done());
        meet("detected");
    }

    pub(crate) fn consumer(channel: &str) {
        let (context, mut consumer) = open_consumer(channel);
        let bytes = receive(&mut consumer).copy_to_vec::<u8>().expect("readable frame");
        let text = std::str::from_utf8(&bytes).expect("UTF-8").trim_end_matches('\0');
        let peer: Location = text.parse().expect("a location");
        let own = Location::current(&context).expect("location");
        assert!(own.process() != peer.process() && own.boot_id() == peer.boot_id());
        let report = Scope::detect(&context, &own, &peer).expect("report");
        assert_eq!(
            (report.scope(), report.decided_by()),
            (Scope::Local, Some(Evidence::Rendezvous))
        );
        assert!(report.agrees().any(|evidence| evidence == Evidence::BootId));
        let report = Scope::detect(&context, &own, &own).expect("report");
        assert_eq!((report.scope(), report.decided_by()), (Scope::Local, Some(Evidence::Process)));
        meet("detected");
        receive_end(&mut consumer);
    }
}
