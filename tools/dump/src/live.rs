//! Receives the packets of an interface through a packet socket (Linux; root or `CAP_NET_RAW`).

use std::ffi::CString;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::capture::CapturedPacket;

const ETHERNET: u32 = 1;
const EVERY_PROTOCOL: u16 = 3;

/// Set by SIGINT and SIGTERM, so that the program prints its results before it exits.
static STOPPED: AtomicBool = AtomicBool::new(false);

extern "C" fn stop(_signal: libc::c_int) {
    STOPPED.store(true, Ordering::Relaxed);
}

/// Makes SIGINT and SIGTERM set [`STOPPED`].
fn stop_on_signals() -> io::Result<()> {
    // SAFETY: all-zero is a valid `sigaction`: no flags (system calls are interrupted), no signals blocked.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = stop as extern "C" fn(libc::c_int) as usize;
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the action is valid, its handler only sets a flag; the old action is not requested.
        if unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Calls `each` with every packet on the interface until it breaks, or until SIGINT or SIGTERM.
///
/// # Errors
/// The interface does not exist or disappeared, or the process lacks the right to capture.
pub fn for_each_packet(
    interface: &str,
    mut each: impl FnMut(CapturedPacket<'_>) -> ControlFlow<()>,
) -> io::Result<()> {
    let socket = open(interface)?;
    let mut buffer = vec![0; 65536];
    stop_on_signals()?;
    loop {
        let Some(length) = receive(&socket, &mut buffer)? else { return Ok(()) };
        let bytes = &buffer[..length.min(buffer.len())];
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if each(CapturedPacket { time, link_type: ETHERNET, bytes, length: length as u32 }).is_break() {
            return Ok(());
        }
    }
}

fn open(interface: &str) -> io::Result<OwnedFd> {
    let name = CString::new(interface).map_err(|_| io::Error::other("the interface name contains a NUL"))?;
    // SAFETY: the name is NUL-terminated and outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    let protocol = libc::c_int::from(EVERY_PROTOCOL.to_be());
    // SAFETY: no pointer is passed; the result is checked below.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was created above and has no other owner.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    bind(&socket, index)?;
    set_receive_timeout(&socket)?;
    Ok(socket)
}

/// Limits the wait for a packet: a signal that arrives just before it would otherwise take effect after the next packet.
fn set_receive_timeout(socket: &OwnedFd) -> io::Result<()> {
    let timeout = libc::timeval { tv_sec: 0, tv_usec: 200_000 };
    let length = size_of::<libc::timeval>() as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_RCVTIMEO);
    // SAFETY: the descriptor is open; the value is a whole `timeval` of the length that is passed.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const timeout).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn bind(socket: &OwnedFd, interface: u32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: EVERY_PROTOCOL.to_be(),
        sll_ifindex: interface as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the descriptor is open; the address is a whole `sockaddr_ll` of the length that is passed.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Receives a packet and returns its length, which may exceed the buffer; `None` after a signal.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    while !STOPPED.load(Ordering::Relaxed) {
        let (start, capacity) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: the descriptor is open; the buffer is writable for the length that is passed.
        let length = unsafe { libc::recv(socket.as_raw_fd(), start.cast(), capacity, libc::MSG_TRUNC) };
        match usize::try_from(length) {
            Ok(length) => return Ok(Some(length)),
            Err(_) => match io::Error::last_os_error() {
                error if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                error => return Err(error),
            },
        }
    }
    Ok(None)
}
