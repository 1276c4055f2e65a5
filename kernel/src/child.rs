//! The kernel's end of the socket to the cell process: reports come in, orders go out.
//!
//! evcxr starts a new cell process whenever the old one has ended, so each connection is a new one.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use crate::wire::{self, MAX_FRAME_BYTES, Order, Report};

/// What happens on the socket.
#[derive(Debug)]
pub enum Event {
    /// The cell process reports something.
    Report(Report),
    /// The cell process has ended; all that it reported has come before.
    Gone,
}

/// Sends orders to the present cell process.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    present: Arc<Mutex<Option<mpsc::UnboundedSender<Order>>>>,
}

impl Orders {
    /// Sends an order. Without a cell process there is nobody to obey, and nothing to stop.
    pub fn send(&self, order: Order) {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(order_tx) = &*present {
            // A closed channel means that the process has just ended.
            let _ = order_tx.send(order);
        }
    }

    fn set(&self, order_tx: mpsc::UnboundedSender<Order>) {
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = Some(order_tx);
    }
}

/// Listens for cell processes. `event_tx` is bounded: a cell process that prints faster than the
/// kernel can pass it on is slowed down by its full socket.
///
/// # Errors
/// Where the socket cannot be made.
pub fn listen(path: &Path, orders: Orders, event_tx: mpsc::Sender<Event>) -> std::io::Result<()> {
    let listener = UnixListener::bind(path)?;
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            serve(connection, &orders, event_tx.clone());
        }
    });
    Ok(())
}

fn serve(connection: UnixStream, orders: &Orders, event_tx: mpsc::Sender<Event>) {
    let mut codec = LengthDelimitedCodec::new();
    codec.set_max_frame_length(MAX_FRAME_BYTES);
    let (read, write) = connection.into_split();
    let mut reports = FramedRead::new(read, codec);
    // The length is part of what `wire::encode` makes.
    let mut order_sink = FramedWrite::new(write, tokio_util::codec::BytesCodec::new());
    let (order_tx, mut order_rx) = mpsc::unbounded_channel();
    orders.set(order_tx);

    tokio::spawn(async move {
        while let Some(order) = order_rx.recv().await {
            let Ok(frame) = wire::encode(&order) else {
                continue;
            };
            if order_sink.send(Bytes::from(frame)).await.is_err() {
                break;
            }
        }
    });
    tokio::spawn(async move {
        while let Some(Ok(frame)) = reports.next().await {
            let event = match wire::decode(&frame) {
                Ok(report) => Event::Report(report),
                Err(error) => {
                    tracing::error!("the cell process sent a damaged report: {error}");
                    break;
                }
            };
            if event_tx.send(event).await.is_err() {
                return;
            }
        }
        let _ = event_tx.send(Event::Gone).await;
    });
}
