//! Keeps a page of changes small in bytes. A limit of rows alone lets 500 of the longest messages, megabytes, into
//! one frame. Promises progress: at least one change stays. Does not count exactly what goes over the wire.

use protocol::{Attachment, Changes, Message, Reaction, Sender, SystemChange};

/// Most text in one page of changes, bytes. Small enough that a slow connection's outbox holds several pages, and
/// large enough that a page of everyday messages is bounded by its limit rather than by this.
const PAGE_BYTES: usize = 320 * 1024;

/// What a message takes besides its texts: names of fields, ids, times. An estimate.
const MESSAGE_BYTES: usize = 530;

/// What a quote takes besides its texts. An estimate.
const QUOTE_BYTES: usize = 150;

/// What a mention takes besides its name, and the thread besides its names. An estimate.
const MENTION_BYTES: usize = 150;

/// What one of those who reacted takes: an id and its quotes.
const REACTOR_BYTES: usize = 39;

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
    let mentioned = message.mentions.iter().map(|m| MENTION_BYTES + m.user.as_ref().map_or(0, names)).sum::<usize>();
    let repliers = message.thread.iter().flat_map(|thread| &thread.last_repliers);
    let thread = repliers.map(|replier| MENTION_BYTES + names(replier)).sum::<usize>();
    let files = message.attachments.iter().map(file_size).sum::<usize>();
    let reactions = message.reactions.iter().map(reaction_size).sum::<usize>();
    let text = names(&message.sender) + message.content.len();
    MESSAGE_BYTES + text + quote + system + mentioned + thread + files + reactions
}

fn file_size(file: &Attachment) -> usize {
    let texts = [&file.name, &file.media_type, &file.thumbnail_url];
    MENTION_BYTES + file.url.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
}

fn reaction_size(reaction: &Reaction) -> usize {
    50 + reaction.emoji.len() + reaction.user_ids.len() * REACTOR_BYTES
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
    use protocol::{
        AttachmentKind, Change, ChangesTag, ConversationId, Mention, MessageId, MessageKind, Quote, Seq, Thread,
        Timestamp, UserId,
    };

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
            thread_root_id: None,
            thread: None,
            mentions: Vec::new(),
            attachments: Vec::new(),
            reactions: Vec::new(),
            pinned_at: None,
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
        assert_eq!((long.changes.len(), long.to), (19, 30));
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
        let mut liked = message(6, 10);
        let user_ids = (0..50).map(|_| UserId::generate()).collect();
        liked.reactions = vec![Reaction { emoji: "👍".into(), count: 70, user_ids, mine: None }; 5];
        let mut mentioning = message(7, 600);
        mentioning.mentions = vec![Mention { offset: 7, length: 4, user: Some(sender()) }; 50];
        let at = mentioning.created_at;
        mentioning.thread =
            Some(Thread { reply_count: 9, last_reply_at: at, last_reply_seq: 8, last_repliers: vec![sender(); 3] });
        let mut files = message(8, 0);
        files.attachments = vec![
            Attachment {
                kind: AttachmentKind::Image,
                url: format!("https://a.example/{}", "x".repeat(500)),
                name: Some("n".repeat(100)),
                media_type: Some("image/png".into()),
                byte_size: Some(1_000_000),
                width: Some(1_000),
                height: Some(1_000),
                duration_ms: None,
                thumbnail_url: Some(format!("https://a.example/{}", "y".repeat(500))),
            };
            10
        ];
        let all = [message(4, 0), message(5, 4_000), reply, system, pictured, liked, mentioning, files];
        for message in all {
            let wire = serde_json::to_vec(&Change::of(message.clone(), 0)).unwrap().len();
            assert!(size(&message).abs_diff(wire) * 5 <= wire, "{} for {wire}", size(&message));
        }
    }
}
