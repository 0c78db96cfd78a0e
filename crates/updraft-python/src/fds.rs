//! Descriptors that travel over sockets. The only file of the crate with `unsafe` in it.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;

/// No packet of the zygote carries more: pidfd, requests, stdout, stderr, logs.
const FDS_PER_PACKET_MAX: usize = 5;

/// Bytes of a frame's length, to which a child expects a descriptor to be attached.
const FRAME_PREFIX_BYTES: usize = 4;

/// What one packet brought.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) length: usize,
    pub(crate) fds: Vec<OwnedFd>,
}

/// Makes a packet socket: our end does not block, the other end does.
pub(crate) fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((ours, theirs))
}

/// Receives one packet with its descriptors. A length of zero means the other side is gone.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Packet> {
    let mut space = nix::cmsg_space!([RawFd; FDS_PER_PACKET_MAX]);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    let mut fds = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = control {
            fds.extend(received.into_iter().map(own));
        }
    }
    if message.flags.contains(MsgFlags::MSG_TRUNC) {
        return Err(io::Error::other(
            "received a packet larger than the buffer for it",
        ));
    }
    Ok(Packet {
        length: message.bytes,
        fds,
    })
}

/// Takes ownership of a descriptor that the kernel has just made for us.
#[expect(unsafe_code, reason = "recvmsg hands out plain numbers")]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the number comes out of an SCM_RIGHTS message of this very call. The kernel has
    // opened it for this process, and nothing else knows it yet.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Registers a descriptor with the runtime.
#[expect(unsafe_code, reason = "tokio asks us to vouch for the descriptor")]
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, is moved into the `AsyncFd`, and always gives the same number.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}

/// Sends one packet. The socket must not block.
pub(crate) fn send(socket: BorrowedFd<'_>, packet: &[u8]) -> io::Result<()> {
    nix::sys::socket::send(socket.as_raw_fd(), packet, MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

/// Writes a frame to a child with a descriptor attached to its first four bytes.
///
/// That is how a child takes the answer to `ResendLoggingFD`: it reads the length together with
/// one descriptor, and everything after it without.
pub async fn send_frame_with_fd(
    requests: &mut UnixStream,
    frame: &[u8],
    fd: BorrowedFd<'_>,
) -> io::Result<()> {
    let (prefix, body) = frame
        .split_at_checked(FRAME_PREFIX_BYTES)
        .ok_or_else(|| io::Error::other("expected a frame with a length prefix"))?;
    let mut sent = 0;
    while sent == 0 {
        requests.writable().await?;
        match requests.try_io(Interest::WRITABLE, || attach(requests, prefix, fd)) {
            Ok(length) => sent = length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    requests.write_all(&prefix[sent..]).await?;
    requests.write_all(body).await
}

fn attach(socket: &UnixStream, bytes: &[u8], fd: BorrowedFd<'_>) -> io::Result<usize> {
    let fds = [fd.as_raw_fd()];
    let sent = sendmsg::<()>(
        socket.as_fd().as_raw_fd(),
        &[IoSlice::new(bytes)],
        &[ControlMessage::ScmRights(&fds)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    Ok(sent)
}
