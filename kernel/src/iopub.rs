//! The iopub channel. One task owns the socket; everything else holds an [`IoPub`] and sends
//! messages that say whose children they are.

use jupyter_protocol::{JupyterMessage, JupyterMessageContent, Status};
use jupyter_zmq_client::KernelIoPubConnection;
use tokio::sync::mpsc;

use crate::kernel_info;

/// How many messages wait for the socket before their senders do.
const CAPACITY: usize = 256;

/// Sends to the iopub channel, in order.
#[derive(Debug, Clone)]
pub struct IoPub {
    message_tx: mpsc::Sender<JupyterMessage>,
}

impl IoPub {
    /// Starts the task that owns the socket.
    pub fn start(mut connection: KernelIoPubConnection) -> IoPub {
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
        IoPub { message_tx }
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
