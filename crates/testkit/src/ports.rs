//! Gives out ports and loopback addresses that no other test uses.
//!
//! - Within a process nothing is given out twice.
//! - Between processes a claim is a bound UDP socket: the kernel lets only one process hold it and
//!   frees it however the process ends.
//! - Linux only: all of `127.0.0.0/8` must be local.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    process,
    sync::{Mutex, PoisonError},
};

/// Below the ports that Linux gives to outgoing connections (32768 and up).
const PORTS: std::ops::Range<u16> = 18_000..32_000;
/// The port whose UDP socket marks a claimed block of addresses.
const BLOCK_CLAIM_PORT: u16 = 17_999;
/// The address on which a UDP socket marks a claimed port.
const PORT_CLAIM_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 1);

/// What this process has claimed. Global because the claims are the process's, not a test's.
static CLAIMS: Mutex<Claims> =
    Mutex::new(Claims { sockets: Vec::new(), next_port: None, block: None });

struct Claims {
    /// Held open for as long as the process lives.
    sockets: Vec<UdpSocket>,
    next_port: Option<u16>,
    block: Option<Block>,
}

/// The addresses `127.a.b.1` to `127.a.b.250`.
struct Block {
    a: u8,
    b: u8,
    next: u8,
}

/// An address of this machine by which others reach it, if it has one. No packet is sent for it.
#[must_use]
pub fn outer_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Of a range that is reserved for documentation: only the way out is asked for.
    socket.connect((Ipv4Addr::new(198, 51, 100, 1), 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

/// The same, or a loud line that `test` did not run: a container may have loopback alone.
#[must_use]
pub fn require_outer_address(test: &str) -> Option<IpAddr> {
    let address = outer_address();
    if address.is_none() {
        // Written past `eprintln`, whose text the test runner hides when a test passes.
        let line = format!("\n!!! NOT RUN, this machine has no address but loopback: {test}\n");
        io::stderr().write_all(line.as_bytes()).unwrap_or_default();
    }
    address
}

/// A port that is free on every local address, and that no other test is given.
///
/// # Panics
///
/// If all ports are taken.
#[must_use]
pub fn free_port() -> u16 {
    let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
    let count = PORTS.end - PORTS.start;
    let mut port = claims.next_port.unwrap_or_else(|| PORTS.start + process_number(count));
    for _ in 0..count {
        let candidate = port;
        port = if port + 1 == PORTS.end { PORTS.start } else { port + 1 };
        let Ok(claim) = UdpSocket::bind((PORT_CLAIM_ADDRESS, candidate)) else { continue };
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, candidate)).is_ok() {
            claims.sockets.push(claim);
            claims.next_port = Some(port);
            return candidate;
        }
    }
    panic!("no port is free between {} and {}", PORTS.start, PORTS.end);
}

/// `preferred` if it is free on every local address and nobody else was given it, else another
/// port that is.
///
/// # Panics
///
/// If all ports are taken.
#[must_use]
pub fn free_port_like(preferred: u16) -> u16 {
    let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
    let claim = UdpSocket::bind((PORT_CLAIM_ADDRESS, preferred));
    if let Ok(claim) = claim
        && TcpListener::bind((Ipv4Addr::UNSPECIFIED, preferred)).is_ok()
    {
        claims.sockets.push(claim);
        return preferred;
    }
    drop(claims);
    free_port()
}

/// A loopback address that no other test is given: every port on it is free.
///
/// # Panics
///
/// If all addresses are taken.
#[must_use]
pub fn loopback_address() -> IpAddr {
    let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
    if claims.block.as_ref().is_none_or(|block| block.next > 250) {
        let (block, claim) = claim_block();
        claims.block = Some(block);
        claims.sockets.push(claim);
    }
    let block = claims.block.as_mut().expect("a block was claimed above");
    let address = Ipv4Addr::new(127, block.a, block.b, block.next);
    block.next += 1;
    address.into()
}

/// A block of loopback addresses, `127.a.b.1` to `127.a.b.250`, that no other process is given:
/// `preferred` (`a` and `b`) if it is free.
///
/// # Panics
///
/// If all addresses are taken.
#[must_use]
pub fn loopback_block(preferred: (u8, u8)) -> (u8, u8) {
    let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
    let (a, b) = preferred;
    let address = Ipv4Addr::new(127, a, b, 254);
    let (block, claim) = match UdpSocket::bind((address, BLOCK_CLAIM_PORT)) {
        Ok(claim) => (preferred, claim),
        Err(_) => {
            let (Block { a, b, .. }, claim) = claim_block();
            ((a, b), claim)
        }
    };
    claims.sockets.push(claim);
    block
}

/// `port` on a loopback address that no other test is given.
#[must_use]
pub fn loopback_socket(port: u16) -> SocketAddr {
    SocketAddr::new(loopback_address(), port)
}

fn claim_block() -> (Block, UdpSocket) {
    // 127.0.x.x is where people and other programs are; 127.255.x.x holds the claims of ports.
    let (first, count) = (256_u16, u16::MAX - 512);
    let start = process_number(count);
    for offset in 0..count {
        let index = (u32::from(start) + u32::from(offset)) % u32::from(count);
        let [_, _, a, b] = (u32::from(first) + index).to_be_bytes();
        if let Ok(claim) = UdpSocket::bind((Ipv4Addr::new(127, a, b, 254), BLOCK_CLAIM_PORT)) {
            return (Block { a, b, next: 1 }, claim);
        }
    }
    panic!("no block of loopback addresses is free");
}

/// A number below `limit` that differs between processes that run at once, most of the time.
fn process_number(limit: u16) -> u16 {
    let spread = u64::from(process::id()).wrapping_mul(2_654_435_761) % u64::from(limit);
    u16::try_from(spread).unwrap_or_default()
}
