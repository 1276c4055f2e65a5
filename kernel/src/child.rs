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

use crate::lost_tasks::{LostTasks, TaskFile};
use crate::wire::{self, MAX_FRAME_BYTES, Order, Report};

/// What happens on the socket.
#[derive(Debug)]
pub enum Event {
    /// The cell process reports something.
    Report(Report),
    /// The cell process has ended; all that it reported has come before.
    Gone {
        /// The tasks that it has left behind.
        tasks: LostTasks,
    },
}

/// Sends orders to the present cell process.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    present: Arc<Mutex<Option<mpsc::UnboundedSender<Order>>>>,
}

impl Orders {
    /// Sends an order. Returns whether there is a cell process to obey it, as far as is known.
    pub fn send(&self, order: Order) -> bool {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed channel means that the process has ended.
        let sent = present.as_ref().map(|order_tx| order_tx.send(order));
        sent.is_some_and(|sent| sent.is_ok())
    }

    fn set(&self, order_tx: mpsc::UnboundedSender<Order>) {
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = Some(order_tx);
    }

    /// The cell process at the other end has ended.
    fn unset(&self, order_tx: &mpsc::UnboundedSender<Order>) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present
            .as_ref()
            .is_some_and(|other| other.same_channel(order_tx))
        {
            *present = None;
        }
    }
}

/// Listens for cell processes. `event_tx` is bounded: a cell process that prints faster than the
/// kernel can pass it on is slowed down by its full socket.
///
/// # Errors
/// Where the socket cannot be made.
pub fn listen(path: &Path, orders: Orders, event_tx: mpsc::Sender<Event>) -> std::io::Result<()> {
    let listener = UnixListener::bind(path)?;
    let session = path.parent().unwrap_or(path).to_owned();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            serve(connection, &session, orders.clone(), event_tx.clone());
        }
    });
    Ok(())
}

fn serve(connection: UnixStream, session: &Path, orders: Orders, event_tx: mpsc::Sender<Event>) {
    let process = connection.peer_cred().ok().and_then(|peer| peer.pid());
    let process = process.and_then(|process| u32::try_from(process).ok());
    let task_file = process.map(|process| TaskFile::of(session, process));
    let mut codec = LengthDelimitedCodec::new();
    codec.set_max_frame_length(MAX_FRAME_BYTES);
    let (read, write) = connection.into_split();
    let mut reports = FramedRead::new(read, codec);
    // The length is part of what `wire::encode` makes.
    let mut order_sink = FramedWrite::new(write, tokio_util::codec::BytesCodec::new());
    let (order_tx, mut order_rx) = mpsc::unbounded_channel();
    orders.set(order_tx.clone());

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
        // Before the event: who hears of it may give orders that only the next process can obey.
        orders.unset(&order_tx);
        let tasks = task_file.map_or_else(LostTasks::default, |file| file.tasks());
        let _ = event_tx.send(Event::Gone { tasks }).await;
    });
}
