//! Pages of lists that are ordered by a time and an id: where a page starts, and the cursor of the next one.
//!
//! A statement asks for one row more than the page has: if it comes, there is a next page.

use protocol::{Page, Timestamp};
use uuid::Uuid;

use super::error::corrupt;
use crate::{
    Result,
    cursor::{self, List},
};

/// The time and id after which a page starts, as parameters: nulls for the first page.
pub(super) fn keyset(list: List, cursor: Option<&str>) -> Result<(Option<i64>, Option<Uuid>)> {
    let after = cursor.map(|cursor| cursor::decode(list, cursor)).transpose()?;
    Ok(after.map_or((None, None), |(at, id)| (Some(at.unix_millis()), Some(id))))
}

/// As [`keyset`], for a list that is ordered by a number alone: the cursor's time stands for it.
pub(super) fn place(list: List, cursor: Option<&str>) -> Result<Option<i64>> {
    Ok(keyset(list, cursor)?.0)
}

/// The cursor of the page after a place.
pub(super) fn after_place(list: List, place: i64) -> Result<String> {
    let place = Timestamp::from_unix_millis(place).ok_or_else(|| corrupt("a place"))?;
    Ok(cursor::encode(list, place, Uuid::nil()))
}

/// How many rows a statement asks for.
pub(super) fn rows(limit: u32) -> i64 {
    i64::from(limit.max(1)) + 1
}

/// The page of what [`rows`] brought.
pub(super) fn page<T>(mut items: Vec<T>, limit: u32, list: List, key: impl Fn(&T) -> (Timestamp, Uuid)) -> Page<T> {
    let more = cut(&mut items, limit);
    let next_cursor = items.last().filter(|_| more).map(|item| {
        let (at, id) = key(item);
        cursor::encode(list, at, id)
    });
    Page { items, next_cursor }
}

/// Takes the extra row away; whether there was one.
pub(super) fn cut<T>(items: &mut Vec<T>, limit: u32) -> bool {
    let limit = limit.max(1) as usize;
    let more = items.len() > limit;
    items.truncate(limit);
    more
}
