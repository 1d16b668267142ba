//! What every [`store::Store`] promises. Each promise is an `async fn` over a store that nobody else uses;
//! `store_conformance!` makes a test of each for one backend. Asserts only what the trait says, so that a
//! backend may differ in all else.

#![allow(clippy::unwrap_used)]

pub mod access;
pub mod announcements;
pub mod arrivals;
pub mod erasing;
pub mod following;
pub mod idempotency;
pub mod inbox;
pub mod library;
pub mod markers;
pub mod mentions;
pub mod moderation;
pub mod notifying;
mod op;
pub mod operator;
pub mod order;
pub mod pages;
pub mod pins;
pub mod presence_reads;
pub mod reactions;
pub mod resume;
pub mod search;
pub mod sessions;
pub mod settings;
pub mod state;
pub mod threads;
pub mod users;
mod world;

use std::{future::Future, time::Duration};

pub use op::Op;
pub use world::{Mark, World};

/// No promise takes longer, on a slow machine that does other things too.
const DEADLINE: Duration = Duration::from_mins(2);

/// Runs one promise with a deadline.
pub async fn within_deadline(promise: impl Future<Output = ()>) {
    assert!(tokio::time::timeout(DEADLINE, promise).await.is_ok(), "not done within {DEADLINE:?}");
}

/// Makes a test of each promise. `$open` is an `async fn` that gives a value whose `store()` is an
/// `Arc<dyn Store>` on an empty database; the value lives as long as the test.
#[macro_export]
macro_rules! store_conformance {
    ($open:path) => {
        $crate::store_conformance! { @tests $open,
            state: [
                migrating_from_many_tasks_at_once_is_fine,
                the_epoch_stays_the_same,
                content_comes_back_as_it_was,
                edits_and_deletes_are_state_with_a_change_of_their_own,
                a_message_may_change_more_than_once_in_a_batch,
                a_reply_shows_the_present_state_of_what_it_quotes,
                a_conversation_keeps_what_it_was_made_with_and_what_was_changed,
            ],
            order: [
                seqs_are_dense_and_numbers_count_only_messages,
                a_batch_of_many_messages_for_many_conversations_is_one_write,
                fifty_tasks_appending_to_one_conversation_leave_no_hole,
                batches_over_overlapping_conversations_neither_deadlock_nor_leave_holes,
                a_decision_to_write_nothing_changes_nothing,
                a_refused_write_takes_its_batch_back_and_leaves_no_hole,
                a_text_that_cannot_be_stored_is_refused,
                what_a_scope_does_not_name_or_is_not_there_is_absent,
                changes_and_the_head_they_lead_to_are_of_one_moment,
            ],
            idempotency: [
                a_client_id_is_found_again_even_when_its_message_was_deleted,
                one_send_tried_by_twenty_tasks_makes_one_message,
                a_client_id_belongs_to_one_sender_in_one_conversation,
                a_second_message_with_the_same_client_id_is_refused,
                twenty_tasks_that_open_a_direct_conversation_get_the_same_one,
                twenty_tasks_with_one_idempotency_key_make_one_conversation,
                a_deleted_direct_conversation_can_be_opened_anew,
                a_participant_of_another_org_is_unknown,
            ],
            access: [
                outsiders_see_nothing_of_a_group,
                people_of_another_org_see_nothing_at_all,
                a_public_room_shows_its_description_but_not_its_messages,
                who_left_reads_nothing_more_until_they_come_back,
                history_since_join_begins_at_the_join,
                where_history_begins_at_the_join_quotes_carry_no_text,
                a_deleted_conversation_is_gone_for_its_people_and_followed_by_nodes,
                roles_and_counts_are_read_under_the_lock,
            ],
            pages: [
                history_windows_hold_at_the_edges,
                history_read_page_by_page_shows_each_message_once,
                changes_read_page_by_page_reach_the_head,
                the_list_of_conversations_loses_none_while_activity_moves,
                conversations_with_the_same_activity_are_listed_once_each,
                the_lobby_is_searched_in_any_case_page_by_page,
                participants_are_listed_by_join_time_once_each,
                participants_are_found_by_the_beginning_of_their_names,
                a_cursor_that_is_none_is_refused,
                the_greatest_numbers_do_no_harm,
            ],
            markers: [
                markers_only_move_forward_and_stop_at_the_head,
                read_implies_delivered_and_not_the_other_way_round,
                unread_counts_messages_and_nothing_else,
                sending_moves_ones_own_markers,
                joining_and_coming_back_set_the_markers_to_the_head,
                a_mark_between_messages_counts_the_one_before_it,
                only_participants_have_markers,
                marks_from_many_tasks_end_at_the_furthest,
                a_batch_of_marks_is_answered_row_by_row,
                delivered_is_not_kept_in_large_conversations,
                batches_of_marks_and_sends_do_not_wait_in_a_circle,
                receipts_of_small_conversations_are_everybodys_and_of_large_ones_ones_own,
            ],
            following: [
                making_a_conversation_moves_each_participants_feed,
                a_feed_shows_the_present_state_of_each_conversation_once,
                batches_that_move_the_same_feeds_number_them_densely,
                revoked_sessions_and_disabling_are_in_the_feed,
                memberships_are_the_newest_conversations_with_their_heads,
                heads_leave_out_what_is_unknown,
                who_takes_part_is_told_with_the_head,
            ],
            arrivals: [
                who_arrives_is_known_with_the_session_that_they_name,
                many_who_begin_are_told_what_each_would_be,
                the_bounds_of_a_catch_up_are_each_viewers_own,
            ],
            resume: [
                what_changed_since_a_watermark_is_replayed_and_nothing_else,
                no_change_is_missed_from_whatever_moment_on,
                too_far_back_or_of_another_history_is_said,
                only_what_one_takes_part_in_is_replayed,
                first_pages_of_many_are_those_of_each,
                a_catch_up_is_bounded_and_goes_on,
                a_new_epoch_is_another_one_and_stays,
                about_as_many_messages_as_there_are_are_told_of,
            ],
            reactions: [
                a_reaction_is_a_change_of_its_message,
                every_emoji_is_its_own,
                a_reaction_names_its_first_fifty_users,
                each_message_of_a_page_has_its_own_reactions,
                reactions_are_found_under_the_lock,
                reactions_from_many_tasks_are_all_there,
            ],
            threads: [
                a_thread_is_counted_at_its_root,
                a_thread_names_its_last_three_repliers,
                a_thread_whose_root_is_not_there_is_refused,
            ],
            mentions: [
                mentions_show_people_as_they_are_now,
                unread_mentions_are_counted_each_message_once,
                editing_or_deleting_a_mention_takes_it_away,
                who_joins_later_is_not_mentioned_before,
                the_first_hundred_places_are_told,
            ],
            pins: [
                a_pin_is_a_change_and_is_counted,
                attachments_come_back_as_they_were,
                a_tombstone_keeps_nothing_of_what_it_was,
            ],
            notifying: [
                a_notification_moves_its_users_feed,
                a_batch_that_is_refused_tells_nobody,
                notifications_from_many_tasks_number_their_feeds_densely,
                who_is_added_at_the_making_is_told,
                who_may_be_told_is_read_under_the_lock,
            ],
            settings: [
                settings_and_blocks_are_in_the_feed,
                a_block_is_seen_in_the_direct_conversation_of_the_two,
                one_participant_is_as_in_the_list,
                policies_are_read_where_they_are_decided,
                the_list_of_conversations_can_be_filtered,
                a_conversation_tells_what_unread_is_made_of,
            ],
            library: [
                a_thread_is_its_root_and_its_replies_in_order,
                pins_are_listed_last_pinned_first,
                a_message_keeps_what_it_said_before_each_edit,
                reactors_are_listed_page_by_page_in_order,
                receipts_of_a_message_are_everybodys_besides_its_sender,
                above_a_hundred_nobody_counts_as_delivered_who_did_not_read,
                only_participants_can_be_mentioned,
            ],
            search: [
                a_message_is_found_by_the_beginnings_of_its_words,
                what_is_no_letter_and_no_digit_stands_between_words,
                only_what_the_viewer_may_see_is_found,
                edits_and_deletes_are_found_as_they_are_now,
                a_search_is_narrowed_by_its_filters,
                without_words_the_filters_find,
                a_search_is_read_page_by_page_in_either_order,
                the_best_comes_first_where_relevance_orders,
                a_snippet_shows_what_was_looked_for,
            ],
            inbox: [
                preferences_of_a_conversation_change_only_what_was_named,
                preferences_for_all_conversations_are_the_default_until_they_are_set,
                the_badges_add_up_all_conversations_but_the_muted_ones,
                mentions_that_are_edited_away_or_deleted_count_no_more,
                notifications_are_listed_newest_first_page_by_page,
                previews_follow_edits_deletes_and_leaving,
                reading_notifications_moves_the_feed_by_each,
                notifications_read_by_many_tasks_are_numbered_densely,
                news_of_conversations_follow_both_settings,
            ],
            announcements: [
                announcements_are_numbered_per_org_and_listed_newest_first,
                an_announcement_tried_by_ten_tasks_is_made_once,
                announcements_made_at_once_leave_no_hole,
                a_readers_marker_moves_forward_to_the_last_announcement,
            ],
            moderation: [
                a_block_is_told_to_the_blocker_alone,
                blocked_users_are_listed_page_by_page,
                what_admins_change_of_users_is_in_the_audit_log_once,
                the_audit_log_is_read_page_by_page,
                users_of_an_org_are_listed_for_its_admins,
                the_same_thing_is_reported_once_by_each,
                reports_are_listed_and_decided,
            ],
            erasing: [
                a_deleted_conversation_is_erased_in_steps_when_it_is_due,
                a_conversation_that_is_not_deleted_is_not_erased,
                those_who_erase_at_once_share_the_work,
            ],
            operator: [
                a_message_is_found_wherever_it_is,
                a_part_in_a_conversation_is_told_when_it_is_over_too,
                orgs_and_their_people_are_found_by_name,
            ],
            presence_reads: [
                presence_is_for_those_who_share_a_conversation,
                contacts_are_named_once_and_cut,
                when_somebody_was_last_there_never_goes_back,
                noting_the_same_people_from_many_tasks_is_fine,
            ],
            sessions: [
                a_refresh_token_works_once,
                a_token_used_again_revokes_its_session,
                one_token_used_by_ten_tasks_is_exchanged_once,
                sessions_end_when_they_expire,
                a_user_revokes_one_session_or_all,
            ],
            users: [
                a_username_is_unique_in_its_org_whatever_its_case,
                a_password_is_found_by_name_in_any_case,
                a_foreign_user_seen_by_twenty_tasks_is_made_once,
                foreign_users_who_want_the_same_name_all_get_one,
                a_foreign_user_follows_their_token,
                people_are_found_by_the_start_of_their_names,
                people_are_listed_page_by_page,
                a_profile_changes_only_what_was_named,
                disabling_and_roles_are_seen,
                an_org_is_made_once,
            ],
        }
    };
    (@tests $open:path, $($module:ident: [$($promise:ident),* $(,)?]),* $(,)?) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let backend = $open().await;
                let promise = $crate::conformance::store::$module::$promise(backend.store());
                $crate::conformance::store::within_deadline(promise).await;
            }
        )*)*
    };
}
