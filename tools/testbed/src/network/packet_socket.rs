//! A raw socket on one interface: receives every frame that arrives there and sends frames.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

const ETH_P_ALL: u16 = 3;
const BUFFER_BYTES: usize = 16 << 20;

/// `struct sockaddr_ll` (packet(7)).
#[repr(C)]
struct LinkAddress {
    family: u16,
    protocol: u16,
    interface: i32,
    hardware: u16,
    kind: u8,
    length: u8,
    address: [u8; 8],
}

const _: () = assert!(size_of::<LinkAddress>() == 20);

// SAFETY: `with_sockaddr` passes a pointer to a live value and its size; the layout is the kernel's for the family in
// the first field.
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(&self, f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R) -> R {
        f(std::ptr::from_ref(self).cast(), size_of::<LinkAddress>() as SocketAddrLen)
    }
}

/// A nonblocking packet socket.
pub struct PacketSocket {
    socket: OwnedFd,
}

impl PacketSocket {
    /// Opens a socket on `interface` in the thread's namespace.
    pub fn open(interface: &str) -> io::Result<PacketSocket> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let protocol = std::num::NonZeroU32::new(u32::from(ETH_P_ALL.to_be())).map(Protocol::from_raw);
        let socket = rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, protocol)?;
        sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES)?;
        sockopt::set_socket_send_buffer_size_force(&socket, BUFFER_BYTES)?;
        let index = rustix::net::netdevice::name_to_index(&socket, interface)?;
        let address = LinkAddress {
            family: AddressFamily::PACKET.as_raw(),
            protocol: ETH_P_ALL.to_be(),
            interface: index.cast_signed(),
            hardware: 0,
            kind: 0,
            length: 0,
            address: [0; 8],
        };
        rustix::net::bind(&socket, &address)?;
        let opened = PacketSocket { socket };
        // Frames of other interfaces may have arrived before the bind.
        let mut discarded = [0; 2048];
        while opened.receive(&mut discarded)?.is_some() {}
        Ok(opened)
    }

    /// Returns the descriptor to poll.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Receives the next frame, if there is one.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((_, length)) => Ok(Some(&buffer[..length.min(buffer.len())])),
            Err(Errno::AGAIN | Errno::INTR | Errno::NETDOWN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a frame. Returns false when the kernel's buffers are full and the frame is lost.
    pub fn send(&self, frame: &[u8]) -> io::Result<bool> {
        match rustix::net::send(&self.socket, frame, SendFlags::empty()) {
            Ok(_) => Ok(true),
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
