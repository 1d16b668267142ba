//! Which of the 16,384 hash slots of a Redis Cluster a name belongs to.
//!
//! CRC16 (XMODEM) of the name, or of what stands between its first braces, as the cluster specification says.

/// Slots of every cluster.
pub(super) const SLOTS: u16 = 16_384;

const TABLE: [u16; 256] = table();

const fn table() -> [u16; 256] {
    let mut table = [0u16; 256];
    let mut n = 0;
    while n < 256 {
        let mut crc = (n as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[n] = crc;
        n += 1;
    }
    table
}

/// The slot of a key or a sharded channel.
pub(super) fn of(name: &[u8]) -> u16 {
    crc16(tag(name)) % SLOTS
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

/// What is hashed: the text between the first `{` and the `}` after it, unless that is empty.
fn tag(name: &[u8]) -> &[u8] {
    let Some(open) = name.iter().position(|byte| *byte == b'{') else { return name };
    match name[open + 1..].iter().position(|byte| *byte == b'}') {
        None | Some(0) => name,
        Some(length) => &name[open + 1..open + 1 + length],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // As `CLUSTER KEYSLOT` answers.
        for (name, slot) in [
            ("", 0),
            ("foo", 12_182),
            ("{foo}bar", 12_182),
            ("x{foo}{bar}", 12_182),
            ("foo{}{bar}", of(b"foo{}{bar}")),
            ("somekey", 11_058),
        ] {
            assert_eq!(of(name.as_bytes()), slot, "{name}");
        }
        assert_eq!(tag(b"foo{}{bar}"), b"foo{}{bar}");
        assert_eq!(tag(b"foo{{bar}}"), b"{bar");
        assert_eq!(tag(b"foo{bar"), b"foo{bar");
    }
}
