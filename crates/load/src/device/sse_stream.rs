//! The bytes of a stream of events, cut into items.

/// One event, or an id alone. Comments are passed over.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) event: String,
    pub(super) data: String,
    pub(super) id: Option<String>,
}

/// What came and is not cut yet.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    bytes: Vec<u8>,
    /// Up to here there is no end of an item.
    searched: usize,
}

impl Cutter {
    /// More came.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole item.
    pub(super) fn next(&mut self) -> Option<Item> {
        let from = self.searched.saturating_sub(1);
        let Some(end) = self.bytes[from..].windows(2).position(|two| two == b"\n\n").map(|end| from + end) else {
            self.searched = self.bytes.len();
            return None;
        };
        let block: Vec<_> = self.bytes.drain(..end + 2).collect();
        self.searched = 0;
        Some(parse(&String::from_utf8_lossy(&block)))
    }
}

fn parse(block: &str) -> Item {
    let mut item = Item::default();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut item.event),
            "id" => item.id = Some(value.to_owned()),
            "data" => {
                if !item.data.is_empty() {
                    item.data.push('\n');
                }
                item.data.push_str(value);
            }
            _ => {}
        }
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_whole_however_the_bytes_come() {
        let text = "retry: 900\n\n: heartbeat\n\nevent: a\ndata: {\"ü\":1}\nid: x.1\n\nid: x.2\n\n";
        for size in [1, 2, 7, 100] {
            let mut cutter = Cutter::default();
            let mut items = Vec::new();
            for part in text.as_bytes().chunks(size) {
                cutter.feed(part);
                while let Some(item) = cutter.next() {
                    items.push(item);
                }
            }
            let told: Vec<_> = items.iter().map(|item| (&*item.event, &*item.data, item.id.as_deref())).collect();
            assert_eq!(told, [("", "", None), ("", "", None), ("a", "{\"ü\":1}", Some("x.1")), ("", "", Some("x.2")),]);
        }
    }
}
