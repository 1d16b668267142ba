//! Source addresses: from one address to one port there are about 28,000 connections and no more. To a target on this
//! machine the whole of 127.0.0.0/8 is ours to call from.

use std::net::{IpAddr, Ipv4Addr};

/// Sockets that share one source address.
const EACH: usize = 25_000;
/// 127.0.0.1 to 127.0.0.250.
const MOST: usize = 250;

/// From which address the `n`-th of `all` sockets calls this target; none: the kernel chooses.
pub(crate) fn address(n: usize, all: usize, target: IpAddr) -> Option<IpAddr> {
    let addresses = all.div_ceil(EACH).min(MOST);
    let here = matches!(target, IpAddr::V4(address) if address.is_loopback());
    (here && addresses > 1).then(|| IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1 + (n % addresses) as u8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_sockets_to_this_machine_come_from_many_addresses() {
        let here = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(address(7, 25_000, here), None);
        assert_eq!(address(7, 60_000, here), Some(IpAddr::from([127, 0, 0, 2])));
        assert_eq!(address(8, 60_000, here), Some(IpAddr::from([127, 0, 0, 3])));
        assert_eq!(address(8, 60_000, IpAddr::from([10, 0, 0, 1])), None);
    }
}
