//! Context, log, location, scope, errors.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lava::*;

use crate::support::{PATIENCE, Place, next};

#[test]
fn objects_outlive_their_context() {
    let place = Place::new();
    let context = place.context();
    let mut producer = Producer::create(&context, "orphan", &ProducerOptions::new()).unwrap();
    let buffer = Buffer::allocate(&context, &BufferOptions::new(100)).unwrap();
    drop(context);
    let mut consumer = place.consumer("orphan");
    producer.send_bytes(buffer.as_slice().unwrap()).unwrap();
    assert_eq!(next(&mut consumer), [0; 100]);
}

#[test]
fn one_context_serves_many_threads() {
    let place = Place::new();
    let context = place.context();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let context = &context;
            scope.spawn(move || {
                let name = format!("thread-{number}");
                let mut producer =
                    Producer::create(context, &name, &ProducerOptions::new()).unwrap();
                let mut consumer =
                    Consumer::open(context, &name, &ConsumerOptions::new().timeout(PATIENCE))
                        .unwrap();
                producer.send_bytes(name.as_bytes()).unwrap();
                assert_eq!(next(&mut consumer), name.as_bytes());
            });
        }
    });
}

#[test]
fn the_log_goes_to_the_closure() {
    let place = Place::new();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let options = place.options().log(LogLevel::Debug, move |level, line| {
        sink.lock().unwrap().push((level, line.to_owned()));
    });
    let context = Context::create(&options).unwrap();
    let _producer = Producer::create(&context, "logged", &ProducerOptions::new()).unwrap();
    let _consumer = place.consumer("logged");
    drop((_producer, _consumer, context, options));
    let lines = Arc::try_unwrap(lines).expect("the closure is freed with the context");
    let lines = lines.into_inner().unwrap();
    assert!(lines.iter().any(|(_, line)| line.contains("logged")), "{lines:?}");
    assert!(lines.iter().any(|(level, _)| *level >= LogLevel::Info), "{lines:?}");
}

#[test]
fn a_panic_in_the_log_closure_stays_there() {
    let place = Place::new();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let options = place.options().log(LogLevel::Debug, move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        std::panic::resume_unwind(Box::new("in the log"));
    });
    let context = Context::create(&options).unwrap();
    let mut producer = Producer::create(&context, "panics", &ProducerOptions::new()).unwrap();
    let mut consumer = place.consumer("panics");
    producer.send_bytes(b"still works").unwrap();
    assert_eq!(next(&mut consumer), b"still works");
    assert!(count.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_context_that_fails_frees_the_log_closure() {
    let place = Place::new();
    let file = place.path().join("file");
    std::fs::write(&file, "").unwrap();
    let token = Arc::new(());
    let held = Arc::clone(&token);
    let options = ContextOptions::new()
        .runtime_directory(file.join("below"))
        .log(LogLevel::Error, move |_, _| drop(Arc::clone(&held)));
    let result = Context::create(&options);
    // The directory may also be tried first when a channel is made.
    let error = match result {
        Err(error) => error,
        Ok(context) => Producer::create(&context, "x", &ProducerOptions::new()).unwrap_err(),
    };
    assert!(error.message().contains("file"), "{error}");
    drop(options);
    assert_eq!(Arc::strong_count(&token), 1);
}

#[test]
fn a_runtime_directory_that_others_can_enter_is_refused() {
    let place = Place::new();
    let directory = place.path().join("open");
    std::fs::create_dir(&directory).unwrap();
    std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o777)).unwrap();
    let options = ContextOptions::new().runtime_directory(&directory);
    let error = Context::create(&options)
        .and_then(|context| Producer::create(&context, "x", &ProducerOptions::new()))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
    let error = Context::create(&ContextOptions::new().runtime_directory("a\0b")).unwrap_err();
    assert_eq!((error.kind(), error.value()), (ErrorKind::InvalidArgument, 1));
}

#[test]
fn a_context_describes_itself() {
    let place = Place::new();
    let context = place.context();
    let json: serde_json::Value = serde_json::from_str(&context.describe().unwrap()).unwrap();
    assert!(json.to_string().contains(place.path().to_str().unwrap()), "{json}");
    assert_eq!(context.list_channels(PATIENCE).unwrap().trim(), "[]");
    assert_eq!(version(), (0, 1, 0));
}

#[test]
fn spinning_and_sleeping_contexts_understand_each_other() {
    let place = Place::new();
    let sleeper = Context::create(&place.options().spin(Timeout::NONE)).unwrap();
    let spinner = Context::create(&place.options().spin(Duration::from_millis(1))).unwrap();
    let mut producer = Producer::create(&sleeper, "spin", &ProducerOptions::new()).unwrap();
    let mut consumer = Consumer::open(&spinner, "spin", &ConsumerOptions::new()).unwrap();
    let writer = std::thread::spawn(move || {
        for number in 0..1000u32 {
            producer.send_bytes(&number.to_ne_bytes()).unwrap();
        }
    });
    for number in 0..1000u32 {
        assert_eq!(next(&mut consumer), number.to_ne_bytes());
    }
    writer.join().unwrap();
}

#[test]
fn a_location_is_text_and_back() {
    let place = Place::new();
    let here = Location::current(&place.context()).unwrap();
    assert_eq!(here.process(), std::process::id());
    assert_eq!(here.user(), rustix::process::geteuid().as_raw());
    assert_eq!(here.rank(), None);
    assert!(!here.host().is_empty());
    let text = here.to_string();
    assert!(!text.contains(char::is_whitespace), "{text}");
    assert_eq!(text.parse::<Location>().unwrap(), here);
    for bad in ["", "x", &text[..text.len() / 2], "a\0b"] {
        let error = bad.parse::<Location>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad:?}");
    }
}

#[test]
fn scope_is_decided_by_evidence() {
    let place = Place::new();
    let (one, two) = (place.context(), place.context());
    let here = Location::current(&one).unwrap();
    let there = Location::current(&two).unwrap();
    assert_ne!(here, there);
    let report = Scope::detect(&one, &here, &there).unwrap();
    assert_eq!(report.scope(), Scope::Local, "{report}");
    assert!(report.decided_by().is_some());
    assert!(report.agrees().any(|evidence| evidence == Evidence::BootId), "{report:?}");
    assert_eq!(report.differs().count(), 0, "{report:?}");
    assert!(report.to_string().lines().count() > 1, "{report}");

    let forced = Context::create(&place.options().scope(Scope::Remote)).unwrap();
    let report = Scope::detect(&forced, &here, &there).unwrap();
    assert_eq!((report.scope(), report.decided_by()), (Scope::Remote, Some(Evidence::Forced)));
}

#[test]
fn a_remote_producer_is_unreachable_over_shared_memory() {
    let place = Place::new();
    let context = place.context();
    let _producer = Producer::create(&context, "far", &ProducerOptions::new()).unwrap();
    let there = Location::current(&context).unwrap();
    let forced = Context::create(&place.options().scope(Scope::Remote)).unwrap();
    let error = Consumer::open(&forced, "far", &ConsumerOptions::new().producer(there.clone()))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    Consumer::open(&place.context(), "far", &ConsumerOptions::new().producer(there)).unwrap();
}

#[test]
fn errors_become_io_errors() {
    let place = Place::new();
    let context = place.context();
    let _first = Producer::create(&context, "taken", &ProducerOptions::new()).unwrap();
    let error = Producer::create(&context, "taken", &ProducerOptions::new()).unwrap_err();
    assert_eq!((error.status(), error.status_name()), (-6, "LAVA_ERROR_ALREADY_EXISTS"));
    let text = error.to_string();
    assert!(!text.to_lowercase().starts_with("error"), "{text}");
    let error = io::Error::from(error);
    assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::AlreadyExists, text));
    assert_eq!(error.downcast::<Error>().unwrap().kind(), ErrorKind::AlreadyExists);

    let missing = ContextOptions::new().runtime_directory("/proc/none/such");
    let error = Context::create(&missing)
        .and_then(|context| Producer::create(&context, "x", &ProducerOptions::new()))
        .unwrap_err();
    let number = error.os_error().expect("a system call failed");
    assert_eq!(io::Error::from(error).raw_os_error(), Some(number));
}
