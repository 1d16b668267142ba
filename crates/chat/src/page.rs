//! Keeps a page of changes small in bytes. A limit of rows alone lets 500 of the longest messages, megabytes, into
//! one frame. Promises progress: at least one change stays. Does not count exactly what goes over the wire.

use protocol::{Changes, Message, Sender, SystemChange};

/// Most text in one page of changes, bytes. Small enough that a slow connection's outbox holds several pages, and
/// large enough that a page of everyday messages is bounded by its limit rather than by this.
const PAGE_BYTES: usize = 256 * 1024;

/// What a message takes besides its texts: names of fields, ids, times. An estimate.
const MESSAGE_BYTES: usize = 400;

/// What a quote takes besides its texts. An estimate.
const QUOTE_BYTES: usize = 150;

/// Cuts a page where its text would go past [`PAGE_BYTES`]; what is cut off is there after its `to`.
pub(crate) fn cut(changes: Changes) -> Changes {
    cut_at(changes, PAGE_BYTES)
}

fn cut_at(mut page: Changes, max: usize) -> Changes {
    let mut bytes = 0;
    let fits = page.changes.iter().take_while(|change| {
        bytes += size(&change.data);
        bytes <= max
    });
    let keep = fits.count().max(1);
    if keep < page.changes.len() {
        page.changes.truncate(keep);
        page.to = page.changes.last().map_or(page.to, |last| last.seq);
        page.more = true;
    }
    page
}

/// About how many bytes a message takes as JSON.
fn size(message: &Message) -> usize {
    let quote = message.reply_to.as_ref().map_or(0, |quote| QUOTE_BYTES + names(&quote.sender) + quote.content.len());
    let system = message.system.as_ref().map_or(0, system_size);
    MESSAGE_BYTES + names(&message.sender) + message.content.len() + quote + system
}

fn names(sender: &Sender) -> usize {
    sender.username.len() + sender.display_name.len() + sender.avatar_url.as_ref().map_or(0, String::len)
}

/// System messages are few, so this one is counted by writing it.
fn system_size(change: &SystemChange) -> usize {
    serde_json::to_vec(change).map_or(0, |json| json.len())
}

#[cfg(test)]
mod tests {
    use protocol::{Change, ChangesTag, ConversationId, MessageId, MessageKind, Quote, Seq, Timestamp, UserId};

    use super::*;

    fn sender() -> Sender {
        Sender { id: UserId::generate(), username: "ann".into(), display_name: "Ann".into(), avatar_url: None }
    }

    fn message(seq: Seq, length: usize) -> Message {
        Message {
            id: MessageId::generate(),
            conversation_id: ConversationId::generate(),
            seq,
            changed_seq: seq,
            number: seq,
            kind: MessageKind::Text,
            sender: sender(),
            content: "x".repeat(length),
            system: None,
            client_id: None,
            reply_to: None,
            edited_at: None,
            deleted_at: None,
            created_at: Timestamp::from_unix_millis(1_795_000_000_000).unwrap(),
        }
    }

    /// A page after 10 whose last step hid something from its reader: its `to` is past its last change.
    fn page(lengths: &[usize], more: bool) -> Changes {
        let messages = (12..).zip(lengths).map(|(seq, length)| message(seq, *length));
        let changes: Vec<_> = messages.map(|message| Change::of(message, 10)).collect();
        let to = 12 + lengths.len() as Seq;
        Changes { tag: ChangesTag::Changes, conversation_id: ConversationId::generate(), from: 10, to, more, changes }
    }

    fn bytes(page: &Changes) -> usize {
        page.changes.iter().map(|change| size(&change.data)).sum()
    }

    #[test]
    fn a_page_at_the_bound_is_left_alone_and_one_byte_past_it_is_cut_after_what_fits() {
        for more in [false, true] {
            let whole = page(&[100, 0, 2_000], more);
            assert_eq!(cut_at(whole.clone(), bytes(&whole)), whole);
            let short = cut_at(whole.clone(), bytes(&whole) - 1);
            assert_eq!((short.from, short.to, short.more), (10, 13, true));
            assert_eq!(short.changes, whole.changes[..2]);
        }
    }

    #[test]
    fn one_message_past_the_bound_goes_alone() {
        let alone = page(&[500], false);
        assert_eq!(cut_at(alone.clone(), 1), alone, "nothing was cut: nothing is behind it");
        let short = cut_at(page(&[500, 0], false), 1);
        assert_eq!((short.changes.len(), short.to, short.more), (1, 12, true));
    }

    #[test]
    fn a_page_without_changes_moves_the_cursor_as_before() {
        let empty = page(&[], false);
        assert_eq!(cut_at(empty.clone(), 0), empty);
    }

    #[test]
    fn a_page_of_the_longest_messages_is_cut_and_one_of_everyday_ones_is_not() {
        let everyday = page(&[80; 500], true);
        assert_eq!(cut(everyday.clone()), everyday);
        let long = cut(page(&[16_000; 500], true));
        assert_eq!((long.changes.len(), long.to), (15, 26));
    }

    #[test]
    fn every_text_counts_about_as_much_as_it_takes_on_the_wire() {
        let mut reply = message(1, 100);
        let quoted = MessageId::generate();
        reply.reply_to =
            Some(Quote { id: quoted, seq: 1, sender: sender(), content: "y".repeat(200), deleted_at: None });
        let mut system = message(2, 0);
        system.system = Some(SystemChange::ParticipantAdded { users: vec![sender(); 100] });
        let mut pictured = message(3, 0);
        pictured.sender.avatar_url = Some("z".repeat(2_000));
        for message in [message(4, 0), message(5, 4_000), reply, system, pictured] {
            let wire = serde_json::to_vec(&Change::of(message.clone(), 0)).unwrap().len();
            assert!(size(&message).abs_diff(wire) * 5 <= wire, "{} for {wire}", size(&message));
        }
    }
}
