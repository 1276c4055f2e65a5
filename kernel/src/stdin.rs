//! The stdin channel. Clients answer on it what a kernel asks; this kernel does not ask yet, so
//! what comes is taken from the socket and dropped.

use jupyter_zmq_client::KernelStdinConnection;

use crate::receive;

/// Serves the channel.
pub async fn serve(mut connection: KernelStdinConnection) {
    while let Some(message) = receive::next(&mut connection).await {
        tracing::debug!("nobody has asked for this {}", message.message_type());
    }
}
