//! How much there is, without counting: what the server's own statistics say.

use sqlx::PgPool;

use super::{fault::Outcome, values::count};

/// Messages: the density of the table's pages when it was last vacuumed or analysed, times the pages that it has now.
/// Before that, what the server noted of inserts. None when it has noted nothing (as after a crash), or of a schema that
/// is not there.
pub(super) async fn messages(pool: &PgPool) -> Outcome<Option<u64>> {
    let rows: Option<Option<i64>> = sqlx::query_scalar(
        "SELECT CASE WHEN c.reltuples > 0 AND c.relpages > 0
                THEN (c.reltuples::float8 / c.relpages
                      * (pg_relation_size(c.oid) / current_setting('block_size')::bigint))::bigint
                ELSE pg_stat_get_live_tuples(c.oid) END
         FROM pg_class c WHERE c.oid = to_regclass('messages')",
    )
    .fetch_optional(pool)
    .await?;
    Ok(rows.flatten().map(count))
}
