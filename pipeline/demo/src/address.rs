//! Networks and the addresses drawn from them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::prng::mix;

/// A network from which addresses are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Net {
    V4 {
        base: u32,
        bits: u8,
    },
    /// The upper 64 bits, and how many of them are fixed.
    V6 {
        base: u64,
        bits: u8,
    },
}

/// An IPv4 network.
pub const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Net {
    Net::V4 { base: u32::from_be_bytes([a, b, c, d]), bits }
}

/// An IPv6 network of at most 64 fixed bits.
pub const fn v6(base: u64, bits: u8) -> Net {
    Net::V6 { base, bits }
}

impl Net {
    /// The address of it that a number stands for; never the first or the last of a /24.
    pub fn address(self, n: u64) -> IpAddr {
        let n = mix(n);
        match self {
            Self::V4 { base, bits } => {
                let host = (n as u32).checked_shr(u32::from(bits)).unwrap_or(0);
                let address = base | host;
                let last = match address & 0xff {
                    0 => address | 1,
                    0xff => address & !1,
                    _ => address,
                };
                IpAddr::V4(Ipv4Addr::from(last))
            }
            Self::V6 { base, bits } => {
                let subnet = (n.rotate_left(32)).checked_shr(u32::from(bits)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from((u128::from(base | subnet) << 64) | u128::from(1 + (n & 0xffe))))
            }
        }
    }
}

/// The addresses that some messages come from: a fixed set, drawn from networks.
#[derive(Debug, Clone)]
pub struct Pool {
    pub nets: Arc<[Net]>,
    /// Which addresses of the networks.
    pub key: u64,
    /// How many.
    pub size: u64,
    /// Whether every message may come from another one, as a botnet's do; otherwise few carry most.
    pub scattered: bool,
}

impl Pool {
    /// A pool in these networks.
    pub fn new(nets: &[Net], key: u64, size: u64) -> Self {
        Self { nets: nets.into(), key, size: size.max(1), scattered: false }
    }

    /// The same pool, one address a message.
    #[must_use]
    pub fn scattered(mut self) -> Self {
        self.scattered = true;
        self
    }

    /// Its `i`-th address.
    pub fn address(&self, i: u64) -> IpAddr {
        let n = self.key.wrapping_add(mix(i % self.size));
        self.nets[(mix(n) % self.nets.len() as u64) as usize].address(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stay_in_their_network() {
        let (four, six) = (v4(198, 2, 128, 0, 18), v6(0x2a00_1450_4864_0020, 64));
        for n in 0..2000 {
            let IpAddr::V4(a) = four.address(n) else { panic!("of the other family") };
            assert_eq!(u32::from(a) >> 14, u32::from_be_bytes([198, 2, 128, 0]) >> 14);
            assert!(!matches!(a.octets()[3], 0 | 255));
            assert!(six.address(n).to_string().starts_with("2a00:1450:4864:20::"));
        }
        assert_eq!(v4(192, 0, 2, 9, 32).address(5).to_string(), "192.0.2.9");
    }

    #[test]
    fn a_pool_is_as_large_as_it_says() {
        let pool = Pool::new(&[v4(10, 0, 0, 0, 8)], 1, 5);
        let distinct: std::collections::HashSet<_> = (0..100).map(|i| pool.address(i)).collect();
        assert_eq!(distinct.len(), 5);
    }
}
