//! What happens when a channel is full.

use std::time::Duration;

use lava::*;

use crate::support::{PATIENCE, Place, next};

fn numbers(consumer: &mut Consumer) -> Vec<u8> {
    consumer.map(|frame| frame.unwrap().copy_to_vec::<u8>().unwrap()[0]).collect()
}

#[test]
fn nobody_connected_counts_as_full() {
    let place = Place::new();
    let mut producer =
        Producer::create(&place.context(), "alone", &ProducerOptions::new()).unwrap();
    assert_eq!(producer.try_send_bytes(b"x").unwrap(), Outcome::TimedOut);
    let mut loan = producer.loan(3).unwrap();
    loan.bytes_mut().unwrap().copy_from_slice(b"abc");
    let error = producer.try_send(loan).unwrap_err();
    assert_eq!(error.error.kind(), ErrorKind::WouldBlock);
    assert!(error.is_full());
    let error = producer.send_timeout(error.loan, Duration::from_millis(5)).unwrap_err();
    assert_eq!(error.error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.loan.bytes().unwrap(), b"abc", "the loan comes back as it was");

    let mut consumer = place.consumer("alone");
    producer.send(error.loan).unwrap();
    assert_eq!(next(&mut consumer), b"abc");
}

#[test]
fn block_waits_for_a_slot() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new().capacity(2));
    producer.send_bytes(&[1; 100]).unwrap();
    producer.send_bytes(&[2; 100]).unwrap();
    assert!(producer.try_loan(100).unwrap().is_none());
    assert!(producer.loan_timeout(100, Duration::from_millis(5)).unwrap().is_none());
    assert_eq!(producer.try_send_bytes(&[3; 100]).unwrap(), Outcome::TimedOut);

    let first = consumer.receive().unwrap().unwrap();
    assert!(producer.try_loan(100).unwrap().is_none(), "received, not released");
    drop(first);
    let loan = producer.loan_timeout(100, PATIENCE).unwrap().expect("a slot came back");
    assert!(producer.try_loan(100).unwrap().is_none());
    drop(loan);
    assert!(producer.try_loan(100).unwrap().is_some(), "an unsent loan gives its slot back");
}

#[test]
fn block_waits_for_room_in_the_queue() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new().queue_length(4));
    let sent = (0..100u8)
        .take_while(|number| producer.try_send_bytes(&[*number]).unwrap().is_done())
        .count();
    assert_eq!(sent, 4);
    let reader = std::thread::spawn(move || numbers(&mut consumer));
    for number in 4..100u8 {
        producer.send_bytes(&[number]).unwrap();
    }
    drop(producer);
    assert_eq!(reader.join().unwrap(), (0..100).collect::<Vec<u8>>());
}

#[test]
fn drop_newest_keeps_what_waits() {
    let place = Place::new();
    let options = ProducerOptions::new().policy(Policy::DropNewest).queue_length(4);
    let (mut producer, mut consumer) = place.pair(&options);
    for number in 0..10u8 {
        producer.send_bytes(&[number]).unwrap();
    }
    assert_eq!(producer.connections().unwrap()[0].dropped, 6);
    drop(producer);
    assert_eq!(numbers(&mut consumer), [0, 1, 2, 3]);
}

#[test]
fn drop_oldest_keeps_the_last() {
    let place = Place::new();
    let options = ProducerOptions::new().policy(Policy::DropOldest).queue_length(4);
    let (mut producer, mut consumer) = place.pair(&options);
    for number in 0..10u8 {
        producer.send_bytes(&[number]).unwrap();
    }
    assert_eq!(producer.connections().unwrap()[0].dropped, 6);
    let frame = consumer.receive().unwrap().unwrap();
    assert_eq!((frame.copy_to_vec::<u8>().unwrap()[0], frame.info().sequence), (6, 6));
    drop(producer);
    assert_eq!(numbers(&mut consumer), [7, 8, 9]);
}

#[test]
fn drop_oldest_takes_the_slots_of_what_waits() {
    let place = Place::new();
    let options = ProducerOptions::new().policy(Policy::DropOldest).capacity(4);
    let (mut producer, mut consumer) = place.pair(&options);
    for number in 0..20u8 {
        producer.send_bytes(&[number; 1000]).unwrap();
    }
    drop(producer);
    let received = numbers(&mut consumer);
    assert_eq!(received.last(), Some(&19), "{received:?}");
    assert!(received.is_sorted() && received.len() <= 4, "{received:?}");
}

#[test]
fn a_drop_policy_never_waits() {
    let place = Place::new();
    for policy in [Policy::DropNewest, Policy::DropOldest] {
        let options = ProducerOptions::new().policy(policy).capacity(2);
        let (mut producer, mut consumer) = place.pair(&options);
        let mut held = Vec::new();
        for number in 0..2u8 {
            producer.send_bytes(&[number; 100]).unwrap();
            held.push(consumer.receive().unwrap().unwrap());
        }
        assert_eq!(producer.loan(100).unwrap_err().kind(), ErrorKind::WouldBlock, "{policy:?}");
        assert!(producer.try_loan(100).unwrap().is_none());
        producer.send_bytes(&[9; 100]).unwrap();
        assert!(matches!(consumer.try_receive().unwrap(), Received::Empty), "{policy:?}");
        assert_eq!(held[0].copy_to_vec::<u8>().unwrap(), [0; 100]);
        assert_eq!(held[1].copy_to_vec::<u8>().unwrap(), [1; 100]);
    }
}

#[test]
fn a_slow_consumer_costs_the_others_nothing_with_drop_newest() {
    let place = Place::new();
    let options = ProducerOptions::new().policy(Policy::DropNewest).queue_length(4);
    let (mut producer, mut slow) = place.pair(&options);
    let mut quick = place.consumer("pair");
    assert_eq!(producer.wait_consumers(2, PATIENCE).unwrap(), Outcome::Done);
    for number in 0..50u8 {
        producer.send_bytes(&[number]).unwrap();
        assert_eq!(next(&mut quick), [number]);
    }
    drop(producer);
    assert_eq!(numbers(&mut slow), [0, 1, 2, 3]);
}
