-- Threads, mentions, reactions, pins, search, settings, notifications, announcements, blocks, reports, presence.
-- Mirrors migrations/postgres with SQLite's means (see 0001).

alter table conversations
    add slow_mode_seconds integer not null default 0 check (slow_mode_seconds between 0 and 86400);
-- Pinned messages; kept by whoever pins.
alter table conversations add pin_count integer not null default 0;

-- Counts the transactions that change conversations. `changed_in` keeps the number of the last one: what came after a
-- moment is replayed to who resumes from it.
alter table meta add changes integer not null default 0;
alter table conversations add changed_in integer not null default 0;
alter table messages add changed_in integer not null default 0;

-- Of their last message here: slow mode counts from it.
alter table participants add last_sent_at integer;
-- At the top of their own list.
alter table participants add pinned_at integer;
-- Settings that changed after a cursor (user_seq); comings and goings have participants_feed.
create index participants_user_seq on participants (user_id, user_seq);

alter table messages add thread_root_id blob;
-- Ranges of the content: [{"o": offset, "l": length, "u": user id or null for everybody}].
alter table messages add mentions text;
alter table messages add attachments text;
alter table messages add pinned_at integer;
-- Rows in reactions: most messages have none, and need no look there.
alter table messages add reaction_count integer not null default 0;
-- Of the thread under this message: derived, moved by its replies, no change of this message (no changed_seq).
alter table messages add reply_count integer not null default 0;
alter table messages add last_reply_seq integer;
alter table messages add last_reply_at integer;
-- User ids as a JSON list of texts, the last ones first, each once, at most three.
alter table messages add last_repliers text;
-- The text's rowid in messages_fts; system messages have none. A column of its own, because the table's hidden rowid
-- may change when the file is compacted.
alter table messages add doc integer;
update messages set doc = rowid where kind = 'text';
create unique index messages_doc on messages (doc) where doc is not null;
create index messages_thread on messages (conversation_id, thread_root_id, seq) where thread_root_id is not null;
create index messages_pinned on messages (conversation_id, pinned_at) where pinned_at is not null;
-- Searches for attachments without words, newest first.
create index messages_attachments on messages (conversation_id, created_at, id) where attachments is not null;

-- Words are runs of letters and digits (left to itself the tokenizer takes private-use characters for letters). No
-- language's stemming, so that every language is found alike. The texts themselves stay in messages alone; the
-- triggers keep the index to the texts that are not deleted.
create virtual table messages_fts using fts5 (
    content,
    content = 'messages',
    content_rowid = 'doc',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* N*'",
    prefix = '2 3'
);
-- What is deleted is taken out of the index at once. Else it would only be marked, and its words stay.
insert into messages_fts (messages_fts, rank) values ('secure-delete', 1);
insert into messages_fts (rowid, content)
    select doc, content from messages where doc is not null and deleted_at is null;

create trigger messages_fts_insert after insert on messages
when new.doc is not null and new.deleted_at is null
begin
    insert into messages_fts (rowid, content) values (new.doc, new.content);
end;

-- The index must be given the old text to forget it.
create trigger messages_fts_update after update of content, deleted_at on messages
when old.doc is not null and (old.content is not new.content or old.deleted_at is not new.deleted_at)
begin
    insert into messages_fts (messages_fts, rowid, content)
        select 'delete', old.doc, old.content where old.deleted_at is null;
    insert into messages_fts (rowid, content)
        select new.doc, new.content where new.deleted_at is null;
end;

create table reactions (
    conversation_id blob not null,
    -- The message's place.
    seq             integer not null,
    emoji           text not null,
    user_id         blob not null,
    -- The change that made it: the order of reactions.
    changed_seq     integer not null,
    created_at      integer not null,
    primary key (conversation_id, seq, emoji, user_id),
    foreign key (conversation_id, seq) references messages (conversation_id, seq)
) strict, without rowid;

-- Who is mentioned by which message, each once; everybody is the user of 16 zero bytes. The badge counts these after
-- the read marker.
create table mentions (
    user_id         blob not null,
    conversation_id blob not null,
    seq             integer not null,
    primary key (user_id, conversation_id, seq)
) strict, without rowid;

create table notification_preferences (
    user_id     blob primary key references users (id),
    notify      text not null default 'all' check (notify in ('all', 'mentions', 'none')),
    muted_until integer,
    user_seq    integer not null
) strict;

create table notifications (
    id              blob primary key,
    user_id         blob not null references users (id),
    -- The feed's place of its last change.
    user_seq        integer not null,
    kind            text not null check (kind in ('mention', 'reply', 'added')),
    conversation_id blob not null,
    message_id      blob not null,
    actor_id        blob not null,
    created_at      integer not null,
    read_at         integer,
    constraint notifications_once unique (user_id, message_id, kind)
) strict;
create index notifications_list on notifications (user_id, created_at desc, id desc);
create index notifications_feed on notifications (user_id, user_seq);
create index notifications_unread on notifications (user_id) where read_at is null;

-- Head of the org's announcements.
alter table orgs add announcement_seq integer not null default 0;

create table announcements (
    org_id          blob not null references orgs (id),
    seq             integer not null,
    id              blob not null,
    author_id       blob not null references users (id),
    title           text not null check (instr(title, char(0)) = 0),
    content         text not null check (instr(content, char(0)) = 0),
    url             text,
    idempotency_key text,
    -- SHA-256 of the request that made it.
    fingerprint     blob not null,
    created_at      integer not null,
    primary key (org_id, seq),
    constraint announcements_id_unique unique (id),
    constraint announcements_idempotency_key_unique unique (author_id, idempotency_key)
) strict;

-- One marker per reader.
create table announcement_reads (
    user_id blob primary key references users (id),
    seq     integer not null
) strict;

-- The row stays when the block ends, so that the feed can tell of it.
create table blocks (
    user_id    blob not null references users (id),
    blocked_id blob not null references users (id) check (blocked_id <> user_id),
    active     integer not null,
    user_seq   integer not null,
    changed_at integer not null,
    primary key (user_id, blocked_id)
) strict, without rowid;
create index blocks_feed on blocks (user_id, user_seq);

create table reports (
    id              blob primary key,
    org_id          blob not null references orgs (id),
    reporter_id     blob not null references users (id),
    user_id         blob not null references users (id),
    message_id      blob,
    conversation_id blob,
    content         text,
    reason          text not null check (reason in ('spam', 'abuse', 'inappropriate', 'other')),
    comment         text check (instr(comment, char(0)) = 0),
    status          text not null default 'open' check (status in ('open', 'resolved', 'dismissed')),
    created_at      integer not null,
    decided_at      integer,
    decided_by      blob references users (id)
) strict;
create unique index reports_message_once on reports (reporter_id, message_id) where message_id is not null;
create unique index reports_user_once on reports (reporter_id, user_id) where message_id is null;
create index reports_list on reports (org_id, created_at desc, id desc);
create index reports_open on reports (org_id) where status = 'open';

create table audit_log (
    id         blob primary key,
    org_id     blob not null references orgs (id),
    actor_id   blob not null references users (id),
    action     text not null,
    target_id  blob not null,
    details    text,
    created_at integer not null
) strict;
create index audit_log_list on audit_log (org_id, created_at desc, id desc);

create table last_seen (
    user_id blob primary key references users (id),
    at      integer not null
) strict;
