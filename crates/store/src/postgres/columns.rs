//! Rows read column after column, in the order of their statement. A look-up by name hashes the name for every column
//! of every row, which was a tenth of what a message costs; the rows that every message, history page and resume
//! read are read this way.

use sqlx::{
    Column, ColumnIndex, Decode, Postgres, Row, Type,
    error::BoxDynError,
    postgres::{PgRow, PgTypeInfo, PgValueRef},
};

use super::values::Word;

/// The columns of a row that are still to be read. Types are always checked; names, which say what is meant to come, in
/// debug builds, so that tests find a reader that is not in the order of its statement.
pub(super) struct Columns<'r> {
    row: &'r PgRow,
    next: usize,
}

impl<'r> Columns<'r> {
    /// All of them.
    pub(super) fn of(row: &'r PgRow) -> Self {
        Self { row, next: 0 }
    }

    /// Those from the one of this name.
    pub(super) fn starting_with(first: &str, row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self { row, next: first.index(row)? })
    }

    /// The value of the next one, which has this name.
    pub(super) fn take<T: Decode<'r, Postgres> + Type<Postgres>>(&mut self, name: &str) -> sqlx::Result<T> {
        debug_assert_eq!(
            self.row.try_column(self.next).map(Column::name).ok(),
            Some(name),
            "another column comes next"
        );
        let value = self.row.try_get(self.next)?;
        self.next += 1;
        Ok(value)
    }

    /// The enum that the word in the next one stands for.
    pub(super) fn word<W: Word>(&mut self, name: &str) -> sqlx::Result<W> {
        self.take::<Meant<W>>(name).map(|Meant(value)| value)
    }
}

/// What a word means, read without a copy of the word.
struct Meant<W>(W);

impl<W> Type<Postgres> for Meant<W> {
    fn type_info() -> PgTypeInfo {
        <&str as Type<Postgres>>::type_info()
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        <&str as Type<Postgres>>::compatible(ty)
    }
}

impl<'r, W: Word> Decode<'r, Postgres> for Meant<W> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let word = <&str as Decode<Postgres>>::decode(value)?;
        W::known(word).map(Self).ok_or_else(|| "a column holds a word that this version does not know".into())
    }
}
