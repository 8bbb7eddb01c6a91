//! TCP sockets, and the hello: a client's first bytes, which say which connection this is.

use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

const BACKLOG: i32 = 4096;

/// The length of a hello.
pub const HELLO_LEN: usize = 8;
const HELLO_MAGIC: [u8; 4] = *b"pfp1";

/// Creates a nonblocking TCP socket of the address's family.
pub fn tcp_socket(address: &SocketAddr) -> io::Result<OwnedFd> {
    let domain = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(domain, SocketType::STREAM, flags, Some(ipproto::TCP))?)
}

/// Starts a connection attempt.
pub fn start_connecting(socket: OwnedFd, server: &SocketAddr) -> io::Result<TcpStream> {
    match rustix::net::connect(&socket, server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// Opens a nonblocking listener.
pub fn listen(address: &SocketAddr) -> io::Result<TcpListener> {
    let socket = tcp_socket(address)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Returns the hello of connection `number`.
pub fn hello(number: u32) -> [u8; HELLO_LEN] {
    let mut bytes = [0; HELLO_LEN];
    bytes[..4].copy_from_slice(&HELLO_MAGIC);
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// Returns the number in a hello, or `None` when the bytes are not a hello.
pub fn number_of(hello: &[u8; HELLO_LEN]) -> Option<u32> {
    let (magic, number) = hello.split_at(4);
    (magic == HELLO_MAGIC).then(|| u32::from_be_bytes(number.try_into().expect("four bytes")))
}

/// An accepted connection whose hello is incomplete.
pub struct ArrivingConnection {
    /// The connection.
    pub stream: TcpStream,
    hello: [u8; HELLO_LEN],
    received: usize,
}

impl ArrivingConnection {
    /// Starts without a byte of the hello.
    pub fn new(stream: TcpStream) -> ArrivingConnection {
        ArrivingConnection { stream, hello: [0; HELLO_LEN], received: 0 }
    }

    /// Reads what has arrived. Returns the hello when it is complete; an error means that the connection ended.
    pub fn read_hello(&mut self) -> io::Result<Option<[u8; HELLO_LEN]>> {
        while self.received < HELLO_LEN {
            match self.stream.read(&mut self.hello[self.received..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.received += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(self.hello))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_holds_its_number_and_other_bytes_are_not_a_hello() {
        assert_eq!(number_of(&hello(70_000)), Some(70_000));
        let mut bytes = hello(1);
        bytes[0] ^= 0xff;
        assert_eq!(number_of(&bytes), None);
    }
}
