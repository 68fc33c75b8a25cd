//! Commands, sockets on demand, errors at the start, the end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use althing_media_core::transport::Protocol;
use althing_media_net::{CommandError, Gone, Net, NetConfig, ShutdownError, StartError};

use crate::engine::{BYE, Echo, PATIENCE, address, ask, binding_request, config, eventually, peer, receive, start};

#[test]
fn closures_run_in_order_and_answer() {
    let net = start(config(2));
    for worker in net.workers() {
        for _ in 0..100 {
            worker.run(|echo, _| echo.unknown += 1).unwrap();
        }
        let index = worker.index();
        assert_eq!(
            worker.call(move |echo, _| (echo.unknown, usize::from(echo.index))),
            Ok((100, index))
        );
        let mut reply = worker.ask(|_, now| now).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        eventually("the future is ready", || {
            matches!(
                Future::poll(std::pin::Pin::new(&mut reply), &mut context),
                Poll::Ready(Ok(_))
            )
        });
    }
}

#[test]
fn a_full_channel_is_busy_and_an_ended_worker_gone() {
    let net = start(config(1));
    let worker = net.workers()[0].clone();
    let (go, wait) = mpsc::channel::<()>();
    worker.run(move |_, _| wait.recv().unwrap_or_default()).unwrap();
    let mut accepted = 0;
    let refused = loop {
        match worker.run(|echo, _| echo.unknown += 1) {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 10_000, "the channel is not bounded");
    };
    assert_eq!(refused, CommandError::Busy);
    go.send(()).unwrap();
    eventually("room again", || worker.run(|_, _| {}).is_ok());
    assert_eq!(worker.call(|echo, _| echo.unknown), Ok(accepted));

    let (go, wait) = mpsc::channel::<()>();
    worker.run(move |_, _| wait.recv().unwrap_or_default()).unwrap();
    eventually("the worker is in the closure", || worker.run(|_, _| {}).is_ok());
    let never = std::thread::spawn({
        let worker = worker.clone();
        move || {
            std::thread::sleep(Duration::from_millis(20));
            let reply = worker.ask(|_, _| ()).unwrap();
            drop(go);
            reply
        }
    });
    net.shutdown(PATIENCE).unwrap();
    // It was asked before or after the closing command, and answered or not; but it does not hang.
    let _: Result<(), Gone> = never.join().unwrap().wait();
    assert_eq!(worker.run(|_, _| {}), Err(CommandError::Gone));
    assert!(worker.open_udp(([127, 0, 0, 1], 0).into()).is_err());
}

#[test]
fn shutdown_says_goodbye_on_every_path() {
    let net = start(config(2));
    let mut peers = Vec::new();
    for index in [0, 1] {
        let socket = peer(address(&net, Protocol::Udp));
        assert_eq!(ask(&socket, &binding_request(index)), [1, index]);
        let mut stream = TcpStream::connect(address(&net, Protocol::Tcp)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = binding_request(index);
        stream
            .write_all(&u16::try_from(request.len()).unwrap().to_be_bytes())
            .unwrap();
        stream.write_all(&request).unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
        peers.push((socket, stream));
    }
    let begun = Instant::now();
    assert_eq!(net.shutdown(PATIENCE), Ok(()));
    assert!(begun.elapsed() < PATIENCE / 2, "it waited although all was said");
    for (socket, mut stream) in peers {
        assert_eq!(receive(&socket), BYE);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, [0, 2, BYE[0], BYE[1]]);
    }
}

#[test]
fn shutdown_does_not_wait_for_ever() {
    let net = start(config(2));
    let (go, wait) = mpsc::channel::<()>();
    net.workers()[1]
        .run(move |_, _| wait.recv().unwrap_or_default())
        .unwrap();
    net.workers()[0]
        .run(|_, _| std::panic::resume_unwind(Box::new("on purpose")))
        .unwrap();
    let error = net.shutdown(Duration::from_millis(200)).unwrap_err();
    let ShutdownError { late, panicked, .. } = error;
    assert_eq!((late, panicked), (1, 1));
    drop(go);
}

#[test]
fn sockets_on_demand() {
    let net = start(config(2));
    let worker = &net.workers()[1];
    let local = worker.open_udp(([127, 0, 0, 1], 0).into()).unwrap();
    assert!(worker.open_udp(local).is_err(), "the port is taken");
    let socket = peer(local);
    // Not shared, so whatever comes is for this worker.
    socket.send(&[0x80, 100]).unwrap();
    eventually("it came to worker 1", || {
        worker.call(|echo, _| echo.unknown).unwrap() == 1
    });
    assert_eq!(ask(&socket, &binding_request(1)), [1, 1]);
    assert_eq!(ask(&socket, &[0x80, 100, 7]), [0x80, 100, 7]);
    worker.run(althing_media_net::Engine::close).unwrap();
    assert!(worker.close_udp(local).unwrap().wait().unwrap());
    assert_eq!(receive(&socket), BYE);
    assert!(!worker.close_udp(local).unwrap().wait().unwrap(), "closed twice");
    let again = worker.open_udp(local).unwrap();
    assert_eq!(again, local);
}

#[test]
fn start_errors_say_what_is_wrong() {
    let sentence = |config: NetConfig| {
        Net::<Echo>::start(config, |seat| Echo::new(&seat))
            .unwrap_err()
            .to_string()
    };
    let taken = start(config(2));
    let udp = address(&taken, Protocol::Udp);
    let tcp = address(&taken, Protocol::Tcp);
    for workers in [1, 2] {
        let error = sentence(NetConfig {
            udp: vec![udp],
            ..config(workers)
        });
        assert_eq!(error, format!("UDP {udp} is in use by another program"));
        let error = sentence(NetConfig {
            tcp: vec![tcp],
            ..config(workers)
        });
        assert_eq!(error, format!("TCP {tcp} is in use by another program"));
    }
    let far = SocketAddr::from(([203, 0, 113, 1], 7882));
    assert_eq!(
        sentence(NetConfig {
            udp: vec![far],
            ..config(1)
        }),
        "UDP 203.0.113.1:7882 is not an address of this machine"
    );
    let many = Net::<Echo>::start(config(65), |seat| Echo::new(&seat)).unwrap_err();
    assert!(matches!(many, StartError::TooManyWorkers { wanted: 65 }), "{many}");
}

#[test]
fn rooms_are_spread() {
    let net = start(config(4));
    let picks: Vec<_> = (0..8).map(|_| net.least_loaded().index()).collect();
    let mut sorted = picks.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 0, 1, 1, 2, 2, 3, 3], "{picks:?}");
}

#[test]
fn deadlines_are_finer_than_a_millisecond() {
    let net = start(config(1));
    let worker = &net.workers()[0];
    for n in 1..=20 {
        worker
            .run(|echo, now| echo.deadline = Some(now + Duration::from_micros(3300)))
            .unwrap();
        std::thread::sleep(Duration::from_millis(6));
        eventually("the deadline was handled", || {
            worker.call(|echo, _| echo.late.len()).unwrap() == n
        });
    }
    let mut late = worker.call(|echo, _| std::mem::take(&mut echo.late)).unwrap();
    late.sort_unstable();
    // The best, since the machine may be busy; whole milliseconds would make each one 700 µs late at least.
    assert!(late[0] < Duration::from_micros(600), "{late:?}");
}
