//! Searching messages in one's own conversations.

use protocol::{ConversationId, ConversationKind, Page, SearchHit, SearchOrder, Timestamp, UserId};
use store::MessageSearch;

use crate::{Caller, Chat, ChatError, Result, check};

/// Most words that are looked for.
const WORDS_MAX: usize = 16;

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct SearchRequest {
    /// Words; a message must have them all, each at the beginning of one of its words, in any case and order. Empty:
    /// the filters alone tell, of which `conversation_id` or `has_attachment` must then be there.
    pub query: String,
    /// In this conversation only.
    pub conversation_id: Option<ConversationId>,
    /// In conversations of this kind only.
    pub kind: Option<ConversationKind>,
    /// By this sender only.
    pub sender_id: Option<UserId>,
    /// Made before this moment.
    pub before: Option<Timestamp>,
    /// Made at this moment or after it.
    pub after: Option<Timestamp>,
    /// With attachments only.
    pub has_attachment: bool,
    /// What comes first; without words, the newest.
    pub order: SearchOrder,
}

impl Chat {
    /// Texts that the caller may see. `limit` 1–100 (50 when absent).
    pub async fn search(
        &self,
        caller: &Caller,
        request: SearchRequest,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<SearchHit>> {
        let limit = check::limit(limit)?;
        check::cursor(cursor)?;
        check::query(&request.query)?;
        let words = words(&request.query);
        if request.query.is_empty() {
            if request.conversation_id.is_none() && !request.has_attachment {
                return Err(ChatError::field("query", "must be there, or `conversation_id` or `has`"));
            }
        } else if words.is_empty() {
            return Err(ChatError::field("query", "must have a letter or a digit"));
        }
        if words.len() > WORDS_MAX {
            return Err(ChatError::field("query", format!("must have at most {WORDS_MAX} words")));
        }
        if let Some(conversation) = request.conversation_id {
            self.readable(caller, conversation).await?;
        }
        let search = MessageSearch {
            words,
            conversation: request.conversation_id,
            kind: request.kind,
            sender: request.sender_id,
            before: request.before,
            after: request.after,
            has_attachment: request.has_attachment,
            order: request.order,
        };
        Ok(self.inner.store.search(caller.user.id, &search, cursor, limit).await?)
    }
}

/// Runs of letters and digits, each once.
fn words(query: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in query.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_words_whatever_stands_between_them() {
        assert_eq!(words("Hello, wörld! hello -x:* & (y)"), ["hello", "wörld", "x", "y"]);
        assert!(words("&|!*:()'\"").is_empty());
    }
}
