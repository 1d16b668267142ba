-- The tables of Starling's first version. SQLite mirrors them (migrations/sqlite).
--
-- Applied migrations never change; later ones first add (expand), and only take away (contract) when no running
-- version needs it any more. Counters (`seq`, `number`, `user_seq`) are dense per conversation or user and are
-- taken under that row's lock. `*_key` columns hold a text as the server folds it (lower case by Unicode), so
-- that comparing them does not depend on the database's locale.

CREATE TABLE meta (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    -- Names this database's history; replaced after a restore from backup.
    epoch text NOT NULL
);
INSERT INTO meta (epoch) VALUES (replace(gen_random_uuid()::text, '-', ''));

CREATE TABLE orgs (
    id uuid PRIMARY KEY,
    slug text NOT NULL CONSTRAINT orgs_slug_unique UNIQUE,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE users (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES orgs (id),
    -- `sub` of another system's token.
    external_id text,
    username text NOT NULL,
    username_key text COLLATE "C" NOT NULL,
    display_name text NOT NULL,
    display_name_key text COLLATE "C" NOT NULL,
    avatar_url text,
    status_text text,
    password_hash text,
    guest boolean NOT NULL DEFAULT false,
    role text NOT NULL DEFAULT 'member' CHECK (role IN ('member', 'admin')),
    -- Head of the user's feed. Not indexed: it moves often.
    feed_seq bigint NOT NULL DEFAULT 0,
    disabled_at timestamptz,
    -- The feed's place of the last time they were disabled or enabled.
    disabled_user_seq bigint,
    created_at timestamptz NOT NULL,
    CONSTRAINT users_org_username_unique UNIQUE (org_id, username_key),
    CONSTRAINT users_org_external_id_unique UNIQUE (org_id, external_id)
) WITH (fillfactor = 80);

CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    device text,
    -- SHA-256 of the refresh token that counts now.
    refresh_hash bytea NOT NULL CONSTRAINT sessions_refresh_hash_unique UNIQUE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    -- The feed's place of the revocation.
    user_seq bigint
);
CREATE INDEX sessions_user ON sessions (user_id) WHERE revoked_at IS NULL;
CREATE INDEX sessions_feed ON sessions (user_id, user_seq) WHERE user_seq IS NOT NULL;

-- Refresh tokens that were exchanged: one that comes back was stolen.
CREATE TABLE used_refresh_tokens (
    refresh_hash bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    -- After this it would be refused anyway, so the row may go.
    expires_at timestamptz NOT NULL
);
CREATE INDEX used_refresh_tokens_session ON used_refresh_tokens (session_id, expires_at);

-- No column that a send updates (last_seq, last_number, last_activity_at) is indexed and pages keep room, so
-- that the update stays heap-only.
CREATE TABLE conversations (
    id uuid PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES orgs (id),
    kind text NOT NULL CHECK (kind IN ('direct', 'group', 'public')),
    title text,
    title_key text COLLATE "C",
    description text,
    avatar_url text,
    subject jsonb,
    -- Pair of users and subject of a direct conversation; cleared when it is deleted, so that a new one can begin.
    direct_key text,
    creator_id uuid NOT NULL REFERENCES users (id),
    idempotency_key text,
    -- SHA-256 of the request that made it.
    fingerprint bytea NOT NULL,
    posting text NOT NULL DEFAULT 'everyone' CHECK (posting IN ('everyone', 'admins')),
    history text NOT NULL DEFAULT 'all' CHECK (history IN ('all', 'since_join')),
    last_seq bigint NOT NULL,
    last_number bigint NOT NULL,
    access_seq bigint NOT NULL,
    -- Active participants, and the owners among them; kept by whoever changes membership under this row's lock.
    participant_count bigint NOT NULL,
    owner_count bigint NOT NULL,
    last_activity_at timestamptz NOT NULL,
    archived_at timestamptz,
    deleted_at timestamptz,
    -- After it was deleted: up to where its messages are erased, and when all was.
    erased_seq bigint NOT NULL DEFAULT 0,
    erased_at timestamptz,
    created_at timestamptz NOT NULL,
    CONSTRAINT conversations_direct_key_unique UNIQUE (org_id, direct_key),
    CONSTRAINT conversations_idempotency_key_unique UNIQUE (creator_id, idempotency_key)
) WITH (fillfactor = 70);
CREATE INDEX conversations_public ON conversations (org_id) WHERE kind = 'public' AND deleted_at IS NULL;
CREATE INDEX conversations_to_erase ON conversations (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;

-- The row stays when the user leaves. Markers are not indexed: they move with every message that is read.
CREATE TABLE participants (
    conversation_id uuid NOT NULL REFERENCES conversations (id),
    user_id uuid NOT NULL REFERENCES users (id),
    role text NOT NULL CHECK (role IN ('member', 'admin', 'owner')),
    joined_at timestamptz NOT NULL,
    left_at timestamptz,
    -- What they may read begins after this seq.
    access_since_seq bigint NOT NULL,
    read_seq bigint NOT NULL,
    -- Number of the last message at or before read_seq: unread = the conversation's last_number − this.
    read_number bigint NOT NULL,
    delivered_seq bigint NOT NULL,
    markers_changed_at timestamptz,
    muted_until timestamptz,
    notify text NOT NULL DEFAULT 'all' CHECK (notify IN ('all', 'mentions', 'none')),
    -- The feed's place of the row's last change, and of the last time they came or went.
    user_seq bigint NOT NULL,
    member_user_seq bigint NOT NULL,
    PRIMARY KEY (conversation_id, user_id)
) WITH (fillfactor = 80);
CREATE INDEX participants_user ON participants (user_id, conversation_id) WHERE left_at IS NULL;
CREATE INDEX participants_joined ON participants (conversation_id, joined_at, user_id) WHERE left_at IS NULL;
CREATE INDEX participants_feed ON participants (user_id, member_user_seq);

-- No foreign keys to conversations and users: they would lock both rows again for each of thousands of messages a
-- second. The conversation's row is locked and the sender's row read when a message is written, and neither is
-- ever deleted.
CREATE TABLE messages (
    conversation_id uuid NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    changed_seq bigint NOT NULL CHECK (changed_seq >= seq),
    id uuid NOT NULL,
    number bigint NOT NULL,
    sender_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('text', 'system')),
    content text NOT NULL,
    system jsonb,
    reply_to_id uuid,
    client_id text,
    -- SHA-256 of the request that made it.
    fingerprint bytea NOT NULL,
    edited_at timestamptz,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (conversation_id, seq),
    CONSTRAINT messages_changed_seq_unique UNIQUE (conversation_id, changed_seq),
    CONSTRAINT messages_id_unique UNIQUE (id),
    CONSTRAINT messages_client_id_unique UNIQUE (conversation_id, sender_id, client_id)
);

-- What a message said before each edit; erased with the message.
CREATE TABLE message_edits (
    conversation_id uuid NOT NULL,
    seq bigint NOT NULL,
    changed_seq bigint NOT NULL,
    content text NOT NULL,
    -- When this text was replaced.
    replaced_at timestamptz NOT NULL,
    PRIMARY KEY (conversation_id, seq, changed_seq),
    FOREIGN KEY (conversation_id, seq) REFERENCES messages (conversation_id, seq)
);
