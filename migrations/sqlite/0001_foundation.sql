-- The first schema. Mirrors migrations/postgres with SQLite's means: ids are 16-byte blobs, times are integers
-- (milliseconds since 1970, UTC), and columns named *_key hold a text in lower case, folded by the program, because
-- SQLite's own lower() knows ASCII only. A text with U+0000 is refused, as Postgres does.
--
-- Applied migrations never change; later ones first add (expand), then take away (contract).

create table meta (
    singleton integer primary key default 1 check (singleton = 1),
    -- Names this database's history; replaced after a restore from backup.
    epoch     text not null
) strict;
insert into meta (epoch) values (lower(hex(randomblob(16))));

create table orgs (
    id   blob primary key,
    slug text not null,
    name text not null,
    constraint orgs_slug_unique unique (slug)
) strict;

create table users (
    id                blob primary key,
    org_id            blob not null references orgs (id),
    external_id       text,
    username          text not null check (instr(username, char(0)) = 0),
    username_key      text not null,
    display_name      text not null check (instr(display_name, char(0)) = 0),
    display_name_key  text not null,
    avatar_url        text,
    status_text       text,
    password_hash     text,
    guest             integer not null default 0,
    role              text not null default 'member' check (role in ('member', 'admin')),
    feed_seq          integer not null default 0,
    disabled_at       integer,
    disabled_user_seq integer,
    created_at        integer not null,
    constraint users_org_external_id_unique unique (org_id, external_id),
    constraint users_org_username_unique unique (org_id, username_key)
) strict;

create table sessions (
    id           blob primary key,
    user_id      blob not null references users (id),
    device       text,
    refresh_hash blob not null,
    created_at   integer not null,
    expires_at   integer not null,
    revoked_at   integer,
    -- Place of the revocation in the user's feed.
    user_seq     integer,
    constraint sessions_refresh_hash_unique unique (refresh_hash)
) strict;
create index sessions_user on sessions (user_id, user_seq);

-- Refresh tokens that were exchanged. One that comes again was stolen, from here or from there.
create table used_refresh_tokens (
    refresh_hash blob primary key,
    session_id   blob not null references sessions (id) on delete cascade,
    -- After this it would be refused anyway, so the row may go.
    expires_at   integer not null
) strict, without rowid;
create index used_refresh_tokens_session on used_refresh_tokens (session_id, expires_at);

create table conversations (
    id                blob primary key,
    org_id            blob not null references orgs (id),
    kind              text not null check (kind in ('direct', 'group', 'public')),
    title             text check (instr(title, char(0)) = 0),
    title_key         text,
    description       text check (instr(description, char(0)) = 0),
    avatar_url        text,
    subject           text,
    posting           text not null check (posting in ('everyone', 'admins')),
    history           text not null check (history in ('all', 'since_join')),
    -- Pair of users and subject of a direct conversation; cleared when it is deleted, so that a new one can begin.
    direct_key        text,
    creator_id        blob not null references users (id),
    idempotency_key   text,
    fingerprint       blob not null,
    last_seq          integer not null,
    last_number       integer not null,
    access_seq        integer not null,
    -- Counted anew, under the lock, by every change of participants.
    participant_count integer not null,
    owner_count       integer not null,
    last_activity_at  integer not null,
    created_at        integer not null,
    archived_at       integer,
    deleted_at        integer,
    -- After it was deleted: up to where its messages are erased, and when all was.
    erased_seq        integer not null default 0,
    erased_at         integer,
    constraint conversations_direct_key_unique unique (org_id, direct_key),
    constraint conversations_idempotency_key_unique unique (creator_id, idempotency_key)
) strict;
create index conversations_public on conversations (org_id) where kind = 'public' and deleted_at is null;
create index conversations_to_erase on conversations (deleted_at) where deleted_at is not null and erased_at is null;

-- The row stays when the user leaves.
create table participants (
    conversation_id    blob not null references conversations (id),
    user_id            blob not null references users (id),
    role               text not null check (role in ('member', 'admin', 'owner')),
    joined_at          integer not null,
    left_at            integer,
    -- What they may read begins after this.
    access_since_seq   integer not null,
    read_seq           integer not null,
    read_number        integer not null,
    delivered_seq      integer not null,
    markers_changed_at integer,
    muted_until        integer,
    notify             text not null default 'all' check (notify in ('all', 'mentions', 'none')),
    -- Place in the user's feed of the row's last change, and of the last time they came or went.
    user_seq           integer not null,
    member_user_seq    integer not null,
    primary key (conversation_id, user_id)
) strict, without rowid;
create index participants_joined on participants (conversation_id, joined_at, user_id) where left_at is null;
create index participants_user on participants (user_id) where left_at is null;
create index participants_feed on participants (user_id, member_user_seq);

create table messages (
    conversation_id blob not null references conversations (id),
    -- Its place, and its last change.
    seq             integer not null check (seq > 0),
    changed_seq     integer not null check (changed_seq >= seq),
    id              blob not null,
    number          integer not null,
    sender_id       blob not null references users (id),
    kind            text not null check (kind in ('text', 'system')),
    content         text not null check (instr(content, char(0)) = 0),
    system          text,
    reply_to_id     blob,
    client_id       text,
    fingerprint     blob not null,
    edited_at       integer,
    deleted_at      integer,
    created_at      integer not null,
    primary key (conversation_id, seq),
    constraint messages_changed_seq_unique unique (conversation_id, changed_seq),
    constraint messages_id_unique unique (id)
) strict;
create unique index messages_client_id on messages (conversation_id, sender_id, client_id)
    where client_id is not null;

-- What a message said before each edit; erased with the message.
create table message_edits (
    conversation_id blob not null,
    seq             integer not null,
    changed_seq     integer not null,
    content         text not null,
    -- When this text was replaced.
    replaced_at     integer not null,
    primary key (conversation_id, seq, changed_seq),
    foreign key (conversation_id, seq) references messages (conversation_id, seq)
) strict, without rowid;
