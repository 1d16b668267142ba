-- Threads, mentions, reactions, pins, search, settings, notifications, announcements, blocks, reports, presence.
-- SQLite mirrors it (migrations/sqlite).

ALTER TABLE conversations
    ADD slow_mode_seconds integer NOT NULL DEFAULT 0 CHECK (slow_mode_seconds BETWEEN 0 AND 86400),
    -- Pinned messages; kept by whoever pins under this row's lock.
    ADD pin_count integer NOT NULL DEFAULT 0,
    -- The transaction (xid8) that changed it last. Not indexed: it moves with every send.
    ADD changed_in bigint NOT NULL DEFAULT 0;

ALTER TABLE participants
    -- Of their last message here: slow mode counts from it.
    ADD last_sent_at timestamptz,
    -- At the top of their own list.
    ADD pinned_at timestamptz;
-- Settings that changed after a cursor (`user_seq`); comings and goings have participants_feed.
CREATE INDEX participants_user_seq ON participants (user_id, user_seq);

ALTER TABLE messages
    ADD thread_root_id uuid,
    -- Ranges of the content: [{"o": offset, "l": length, "u": user id or null for everybody}].
    ADD mentions jsonb,
    ADD attachments jsonb,
    ADD pinned_at timestamptz,
    -- Rows in `reactions`: most messages have none, and need no look there.
    ADD reaction_count integer NOT NULL DEFAULT 0,
    -- Of the thread under this message: derived, moved by its replies under the conversation's lock, no change of
    -- this message (no changed_seq).
    ADD reply_count bigint NOT NULL DEFAULT 0,
    ADD last_reply_seq bigint,
    ADD last_reply_at timestamptz,
    -- The last ones first, each once, at most three.
    ADD last_repliers uuid[],
    -- The transaction (xid8) of its last change: what a snapshot could not see yet is replayed to who resumes from it.
    ADD changed_in bigint NOT NULL DEFAULT 0;
CREATE INDEX messages_thread ON messages (conversation_id, thread_root_id, seq) WHERE thread_root_id IS NOT NULL;
CREATE INDEX messages_pinned ON messages (conversation_id, pinned_at) WHERE pinned_at IS NOT NULL;
-- Searches for attachments without words, newest first.
CREATE INDEX messages_attachments ON messages (conversation_id, created_at, id) WHERE attachments IS NOT NULL;
-- The words of a text: runs of letters and digits. Left to itself, the parser would take an address, a hyphened word or
-- a decimal number for one word, and drop what looks like markup; and where the locale is C it takes every other
-- character for a letter. So what is neither letter nor digit is taken out first: punctuation, symbols and spaces of the
-- scripts that are in use, line by line ASCII and Latin-1; modifiers, Greek, Armenian, Hebrew, Arabic, Indic, Thai and
-- Ethiopic; general punctuation to arrows and mathematics; CJK; forms and full width; emoji and what goes with them.
-- A regular expression with nothing but characters in it needs no locale, and is five times as fast as `translate`.
-- 'simple': no language's stemming or stop words, so that every language is found alike.
CREATE FUNCTION search_words(content text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_tsvector('simple', regexp_replace(content,
        E'[!-/:-@\\[-`{-~\\u0080-\\u00a9\\u00ab-\\u00b1\\u00b4\\u00b6-\\u00b8\\u00bb\\u00bf\\u00d7\\u00f7'
        || E'\\u02c2-\\u02c5\\u02d2-\\u02df\\u037e\\u0387\\u0589\\u058a\\u05be\\u05c0\\u05c3\\u05f3\\u05f4\\u060c\\u061b\\u061f'
        || E'\\u066a-\\u066d\\u06d4\\u0964\\u0965\\u0970\\u0e3f\\u0e5a\\u0e5b\\u1360-\\u1368'
        || E'\\u2000-\\u206f\\u207a-\\u207e\\u208a-\\u208e\\u20a0-\\u20cf\\u2190-\\u245f\\u2500-\\u2775\\u2794-\\u2bff'
        || E'\\u2e00-\\u2e2e\\u2e30-\\u2e7f\\u3000-\\u3004\\u3008-\\u3020\\u3030\\u303d-\\u303f\\u30a0\\u30fb'
        || E'\\ufe00-\\ufe6f\\uff01-\\uff0f\\uff1a-\\uff20\\uff3b-\\uff40\\uff5b-\\uff65\\uffe0-\\uffff'
        || E'\\U0001f000-\\U0001f0ff\\U0001f10d-\\U0001faff]+' COLLATE "C", ' ', 'g'))
$$;
CREATE INDEX messages_search ON messages USING gin (search_words(content))
    WHERE kind = 'text' AND deleted_at IS NULL;

CREATE TABLE reactions (
    conversation_id uuid NOT NULL,
    -- The message's place.
    seq bigint NOT NULL,
    emoji text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    -- The change that it came with: their order, whatever the clocks say.
    changed_seq bigint NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (conversation_id, seq, emoji, user_id),
    FOREIGN KEY (conversation_id, seq) REFERENCES messages (conversation_id, seq)
);

-- Who is mentioned by which message, each once; everybody is the user 00000000-0000-0000-0000-000000000000, and then
-- nobody else has a row for it. The badge counts these after the read marker.
CREATE TABLE mentions (
    user_id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (user_id, conversation_id, seq)
);

CREATE TABLE notification_preferences (
    user_id uuid PRIMARY KEY REFERENCES users (id),
    notify text NOT NULL DEFAULT 'all' CHECK (notify IN ('all', 'mentions', 'none')),
    muted_until timestamptz,
    user_seq bigint NOT NULL
);

CREATE TABLE notifications (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    -- The feed's place of its last change.
    user_seq bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('mention', 'reply', 'added')),
    conversation_id uuid NOT NULL,
    message_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    read_at timestamptz,
    CONSTRAINT notifications_once UNIQUE (user_id, message_id, kind)
);
CREATE INDEX notifications_list ON notifications (user_id, created_at DESC, id DESC);
CREATE INDEX notifications_feed ON notifications (user_id, user_seq);
CREATE INDEX notifications_unread ON notifications (user_id, created_at DESC, id DESC) WHERE read_at IS NULL;

-- Head of the org's announcements, taken under this row's lock.
ALTER TABLE orgs ADD announcement_seq bigint NOT NULL DEFAULT 0;

CREATE TABLE announcements (
    org_id uuid NOT NULL REFERENCES orgs (id),
    seq bigint NOT NULL,
    id uuid NOT NULL CONSTRAINT announcements_id_unique UNIQUE,
    author_id uuid NOT NULL REFERENCES users (id),
    title text NOT NULL,
    content text NOT NULL,
    url text,
    idempotency_key text,
    -- SHA-256 of the request that made it.
    fingerprint bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, seq),
    CONSTRAINT announcements_idempotency_key_unique UNIQUE (author_id, idempotency_key)
);

-- One marker per reader.
CREATE TABLE announcement_reads (
    user_id uuid PRIMARY KEY REFERENCES users (id),
    seq bigint NOT NULL
);

-- The row stays when the block ends, so that the feed can tell of it.
CREATE TABLE blocks (
    user_id uuid NOT NULL REFERENCES users (id),
    blocked_id uuid NOT NULL REFERENCES users (id) CHECK (blocked_id <> user_id),
    active boolean NOT NULL,
    user_seq bigint NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, blocked_id)
);
CREATE INDEX blocks_feed ON blocks (user_id, user_seq);

CREATE TABLE reports (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES orgs (id),
    reporter_id uuid NOT NULL REFERENCES users (id),
    user_id uuid NOT NULL REFERENCES users (id),
    message_id uuid,
    conversation_id uuid,
    content text,
    reason text NOT NULL CHECK (reason IN ('spam', 'abuse', 'inappropriate', 'other')),
    comment text,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'resolved', 'dismissed')),
    created_at timestamptz NOT NULL,
    decided_at timestamptz,
    decided_by uuid REFERENCES users (id)
);
CREATE UNIQUE INDEX reports_message_once ON reports (reporter_id, message_id) WHERE message_id IS NOT NULL;
CREATE UNIQUE INDEX reports_user_once ON reports (reporter_id, user_id) WHERE message_id IS NULL;
CREATE INDEX reports_list ON reports (org_id, created_at DESC, id DESC);
CREATE INDEX reports_open ON reports (org_id) WHERE status = 'open';

CREATE TABLE audit_log (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES orgs (id),
    actor_id uuid NOT NULL REFERENCES users (id),
    action text NOT NULL,
    target_id uuid NOT NULL,
    details text,
    created_at timestamptz NOT NULL
);
CREATE INDEX audit_log_list ON audit_log (org_id, created_at DESC, id DESC);

-- Apart from users, so that noting it neither waits for a feed nor bloats that table.
CREATE TABLE last_seen (
    user_id uuid PRIMARY KEY REFERENCES users (id),
    at timestamptz NOT NULL
) WITH (fillfactor = 70);
