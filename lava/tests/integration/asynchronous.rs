//! Feature `tokio`.

use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use lava::*;
use tokio::time::timeout;

use crate::support::{PATIENCE, Place, pattern};

async fn next(consumer: &mut Consumer) -> Vec<u8> {
    let frame = timeout(PATIENCE, consumer.receive_async()).await.expect("in time").unwrap();
    frame.expect("a frame").copy_to_vec().unwrap()
}

#[tokio::test]
async fn frames_that_wait_and_frames_that_come_are_received() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    producer.send_bytes(&pattern(100, 0)).unwrap();
    assert_eq!(next(&mut consumer).await, pattern(100, 0));
    let writer = std::thread::spawn(move || {
        for number in 1..200 {
            if number % 50 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
            producer.send_bytes(&pattern(100, number)).unwrap();
        }
    });
    for number in 1..200 {
        assert_eq!(next(&mut consumer).await, pattern(100, number));
    }
    assert!(timeout(PATIENCE, consumer.receive_async()).await.unwrap().unwrap().is_none());
    writer.join().unwrap();
}

#[tokio::test]
async fn a_cancelled_receive_loses_nothing() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    for number in 0..10 {
        let empty = timeout(Duration::from_millis(1), consumer.receive_async()).await;
        assert!(empty.is_err(), "nothing was sent");
        producer.send_bytes(&pattern(50, number)).unwrap();
        assert_eq!(next(&mut consumer).await, pattern(50, number));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_runs_in_a_task_of_its_own_and_ends() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    let task = tokio::spawn(async move {
        let mut stream = consumer.stream();
        let mut received = Vec::new();
        while let Some(frame) =
            std::future::poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await
        {
            received.push(frame.unwrap().copy_to_vec::<u8>().unwrap());
        }
        received
    });
    let writer = tokio::task::spawn_blocking(move || {
        for number in 0..300 {
            producer.send_bytes(&pattern(60, number)).unwrap();
        }
    });
    writer.await.unwrap();
    let received = timeout(PATIENCE, task).await.unwrap().unwrap();
    assert_eq!(received, (0..300).map(|number| pattern(60, number)).collect::<Vec<_>>());
}

#[tokio::test]
async fn many_channels_are_watched_at_once() {
    let place = Place::new();
    let context = place.context();
    let mut tasks = tokio::task::JoinSet::new();
    let mut producers = Vec::new();
    for number in 0..20 {
        let name = format!("channel-{number}");
        producers.push(Producer::create(&context, &name, &ProducerOptions::new()).unwrap());
        let mut consumer = Consumer::open(&context, &name, &ConsumerOptions::new()).unwrap();
        tasks.spawn(async move {
            let mut sum = 0;
            while let Some(frame) = consumer.receive_async().await.unwrap() {
                sum += frame.len();
            }
            sum
        });
    }
    for size in 1..=10 {
        for producer in &mut producers {
            producer.send_bytes(&pattern(size, size)).unwrap();
        }
        tokio::task::yield_now().await;
    }
    drop(producers);
    while let Some(sum) = timeout(PATIENCE, tasks.join_next()).await.unwrap() {
        assert_eq!(sum.unwrap(), 55);
    }
}
