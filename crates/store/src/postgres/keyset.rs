//! Pages that are keyed by a place and an id, for the lists of [`super::library`], [`super::inbox`] and
//! [`super::relations`]. The order itself is in each list's statement.

use protocol::Timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{fault::Outcome, values::int};
use crate::{
    StoreError,
    cursor::{self, List},
};

/// What comes after a place in a list with the newest first; all of it when the place is null. One condition for both,
/// so that the one plan of the statement begins at the place in the index: `$3 IS NULL OR …` would read the list from
/// its beginning.
macro_rules! older {
    ($at:literal, $id:literal, $place_at:literal, $place_id:literal) => {
        concat!(
            "(",
            $at,
            ", ",
            $id,
            ") < (coalesce(",
            $place_at,
            "::timestamptz, 'infinity'), ",
            "coalesce(",
            $place_id,
            "::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')) "
        )
    };
}
pub(super) use older;

/// As [`older`], of a list with the oldest first.
macro_rules! newer {
    ($at:literal, $id:literal, $place_at:literal, $place_id:literal) => {
        concat!(
            "(",
            $at,
            ", ",
            $id,
            ") > (coalesce(",
            $place_at,
            "::timestamptz, '-infinity'), ",
            "coalesce(",
            $place_id,
            "::uuid, '00000000-0000-0000-0000-000000000000')) "
        )
    };
}
pub(super) use newer;

/// How many rows to ask for: one more than the page shows tells whether there is another page.
pub(super) fn ask(limit: u32) -> i64 {
    i64::from(limit.max(1)) + 1
}

/// Cuts off the row that the page does not show; true when there was one.
pub(super) fn cut<R>(rows: &mut Vec<R>, limit: u32) -> bool {
    let limit = limit.max(1) as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    more
}

/// The time and id that a page begins after.
pub(super) fn at(list: List, cursor: Option<&str>) -> Outcome<(Option<OffsetDateTime>, Option<Uuid>)> {
    let key = cursor.map(|cursor| cursor::decode(list, cursor)).transpose()?;
    Ok((key.map(|(at, _)| at.get()), key.map(|(_, id)| id)))
}

/// Cuts the page, and makes the cursor of the next one from its last row's time and id.
pub(super) fn next_at<R>(
    rows: &mut Vec<R>,
    limit: u32,
    list: List,
    key: impl Fn(&R) -> (OffsetDateTime, Uuid),
) -> Option<String> {
    let more = cut(rows, limit);
    let (at, id) = key(rows.last().filter(|_| more)?);
    Some(cursor::encode(list, Timestamp::new(at), id))
}

/// The counter that a page begins after, of a list that one orders.
pub(super) fn place(list: List, cursor: Option<&str>) -> Outcome<Option<i64>> {
    let key = cursor.map(|cursor| cursor::decode(list, cursor)).transpose()?;
    Ok(key.map(|(place, _)| place.unix_millis()))
}

/// The cursor after this counter: it takes the time's place, which holds any counter that will ever be reached.
pub(super) fn after_place(list: List, place: u64) -> Outcome<String> {
    let place = Timestamp::from_unix_millis(int(place))
        .ok_or_else(|| StoreError::Internal("a counter is greater than a cursor holds".into()))?;
    Ok(cursor::encode(list, place, Uuid::nil()))
}
