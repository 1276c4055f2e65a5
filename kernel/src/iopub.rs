//! The iopub channel. One task owns the socket; everything else holds an [`IoPub`] and sends
//! messages that say whose children they are.
//!
//! The socket keeps what its subscribers do not take, up to 100,000 messages for each, and then drops
//! silently (zeromq 0.7, `pub.rs`). What is on its way is counted here, so that nobody floods it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use jupyter_protocol::{JupyterMessage, JupyterMessageContent, Status};
use jupyter_zmq_client::{Connection, KernelIoPubConnection};
use tokio::sync::mpsc;
use zeromq::{PubSocket, SocketSend, ZmqMessage, ZmqResult};

use crate::kernel_info;

/// How many messages wait for the socket before their senders do.
const CAPACITY: usize = 256;

/// How many bytes may be on their way before output has to wait.
const ON_THE_WAY: usize = 8 << 20;

/// Sends to the iopub channel, in order.
#[derive(Debug, Clone)]
pub struct IoPub {
    message_tx: mpsc::Sender<JupyterMessage>,
    on_the_way: Arc<AtomicUsize>,
}

impl IoPub {
    /// Starts the task that owns the socket.
    pub fn start(connection: KernelIoPubConnection) -> IoPub {
        let on_the_way = Arc::new(AtomicUsize::new(0));
        let mut connection = Connection {
            socket: Counting {
                socket: connection.socket,
                on_the_way: Arc::clone(&on_the_way),
            },
            mac: connection.mac,
            session_id: connection.session_id,
        };
        let (message_tx, mut message_rx) = mpsc::channel::<JupyterMessage>(CAPACITY);
        tokio::spawn(async move {
            while let Some(mut message) = message_rx.recv().await {
                // By custom a message on iopub begins with its topic, not with somebody's identity.
                message.zmq_identities = vec![topic(&message).into()];
                if let Err(error) = connection.send(message).await {
                    tracing::warn!("a message on iopub could not be sent: {error}");
                }
            }
        });
        IoPub {
            message_tx,
            on_the_way,
        }
    }

    /// How many bytes are on their way to subscribers.
    pub fn on_the_way(&self) -> usize {
        self.on_the_way.load(Ordering::Relaxed)
    }

    /// Whether output has to wait for subscribers to take what is on its way.
    pub fn is_full(&self) -> bool {
        self.on_the_way() >= ON_THE_WAY || self.message_tx.capacity() < CAPACITY / 2
    }

    /// Sends content as a child of the request that caused it.
    pub async fn send(&self, content: impl Into<JupyterMessageContent>, parent: &JupyterMessage) {
        self.send_message(kernel_info::message(content, Some(parent)))
            .await;
    }

    /// Sends the kernel's status as a child of the request that changed it.
    pub async fn status(&self, status: Status, parent: &JupyterMessage) {
        self.send(status, parent).await;
    }

    /// Sends the first message, which has no parent.
    pub async fn starting(&self) {
        self.send_message(kernel_info::message(Status::starting(), None))
            .await;
    }

    async fn send_message(&self, message: JupyterMessage) {
        // The task only ends with the kernel.
        let _ = self.message_tx.send(message).await;
    }
}

fn topic(message: &JupyterMessage) -> Vec<u8> {
    format!("kernel.{}", message.message_type()).into_bytes()
}

/// A socket that counts what its subscribers have not taken.
struct Counting {
    socket: PubSocket,
    on_the_way: Arc<AtomicUsize>,
}

#[async_trait]
impl SocketSend for Counting {
    async fn send(&mut self, message: ZmqMessage) -> ZmqResult<()> {
        let frames = message.into_vec().into_iter();
        let counted = frames.map(|frame| Bytes::from_owner(Counted::new(frame, &self.on_the_way)));
        let counted: Vec<Bytes> = counted.collect();
        // Only a message without frames is refused, and none of ours is.
        match ZmqMessage::try_from(counted) {
            Ok(message) => self.socket.send(message).await,
            Err(_) => Ok(()),
        }
    }
}

/// A frame, which lives until the last subscriber's socket has taken it.
struct Counted {
    frame: Bytes,
    on_the_way: Arc<AtomicUsize>,
}

impl Counted {
    fn new(frame: Bytes, on_the_way: &Arc<AtomicUsize>) -> Counted {
        on_the_way.fetch_add(frame.len(), Ordering::Relaxed);
        Counted {
            frame,
            on_the_way: Arc::clone(on_the_way),
        }
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.on_the_way
            .fetch_sub(self.frame.len(), Ordering::Relaxed);
    }
}
