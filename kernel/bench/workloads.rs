// What `runtime.py` measures, in a cell and in a program alike. Each function returns its seconds.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Tasks that are spawned from one task, and awaited one after the other.
async fn spawn() -> f64 {
    let begin = Instant::now();
    for _ in 0..500 {
        let tasks: Vec<_> = (0..1_000_u64)
            .map(|number| tokio::spawn(async move { black_box(number) }))
            .collect();
        for task in tasks {
            black_box(task.await.unwrap());
        }
    }
    begin.elapsed().as_secs_f64()
}

/// Two tasks that send each other a number to and fro.
async fn ping_pong() -> f64 {
    let (ping, mut pings) = mpsc::channel(1);
    let (pong, mut pongs) = mpsc::channel(1);
    let other = tokio::spawn(async move {
        while let Some(number) = pings.recv().await {
            pong.send(number).await.unwrap();
        }
    });
    let own = tokio::spawn(async move {
        let begin = Instant::now();
        for number in 0..500_000_u64 {
            ping.send(number).await.unwrap();
            assert_eq!(pongs.recv().await, Some(number));
        }
        begin.elapsed().as_secs_f64()
    });
    let seconds = own.await.unwrap();
    other.await.unwrap();
    seconds
}

/// Many tasks that sleep again and again; what is measured is how much longer than they asked for.
async fn timers() -> f64 {
    let begin = Instant::now();
    let tasks: Vec<_> = (0..2_000)
        .map(|_| {
            tokio::spawn(async {
                for _ in 0..150 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    begin.elapsed().as_secs_f64()
}

/// A client that waits for the echo of each message.
async fn tcp_echo() -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        client.set_nodelay(true).unwrap();
        let mut bytes = [0; 64];
        while client.read_exact(&mut bytes).await.is_ok() {
            client.write_all(&bytes).await.unwrap();
        }
    });
    let client = tokio::spawn(async move {
        let mut server = TcpStream::connect(address).await.unwrap();
        server.set_nodelay(true).unwrap();
        let mut bytes = [7; 64];
        let begin = Instant::now();
        for _ in 0..30_000 {
            server.write_all(&bytes).await.unwrap();
            server.read_exact(&mut bytes).await.unwrap();
        }
        begin.elapsed().as_secs_f64()
    });
    let seconds = client.await.unwrap();
    server.await.unwrap();
    seconds
}

/// Loops that compute with numbers: a sieve, and a matrix product.
async fn compute() -> f64 {
    let begin = Instant::now();
    for _ in 0..20 {
        black_box(primes(black_box(4_000_000)));
        black_box(product(black_box(200)));
    }
    begin.elapsed().as_secs_f64()
}

fn primes(below: usize) -> usize {
    let mut composite = vec![false; below];
    let mut count = 0;
    let mut number = 2;
    while number < below {
        if !composite[number] {
            count += 1;
            let mut multiple = number * number;
            while multiple < below {
                composite[multiple] = true;
                multiple += number;
            }
        }
        number += 1;
    }
    count
}

fn product(size: usize) -> f64 {
    let a: Vec<f64> = (0..size * size).map(|index| index as f64 / 7.0).collect();
    let mut c = vec![0.0; size * size];
    for row in 0..size {
        for column in 0..size {
            let mut sum = 0.0;
            for index in 0..size {
                sum += a[row * size + index] * a[index * size + column];
            }
            c[row * size + column] = sum;
        }
    }
    c.iter().sum()
}

/// Calls through a function that branches, recursively.
async fn recursion() -> f64 {
    fn fibonacci(number: u32) -> u64 {
        if number < 2 { 1 } else { fibonacci(number - 1) + fibonacci(number - 2) }
    }
    let begin = Instant::now();
    black_box(fibonacci(black_box(41)));
    begin.elapsed().as_secs_f64()
}
