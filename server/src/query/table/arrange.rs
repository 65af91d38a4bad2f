//! Filters, groups, sorts and cuts a table, in this order: the cut is the last step, and what it
//! leaves out is summed up.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::column::{Column, Columns, Get};
use super::error::ArrangeError;
use crate::memory::MemoryError;
use crate::query::bound::Bound;
use crate::query::error::QueryError;
use crate::query::filter::{ColumnType, Filter, Value};

/// Names of a group's processes in an answer at most.
const MAX_NAMES: usize = 8;

/// Direction of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Lowest first.
    Asc,
    /// Highest first.
    Desc,
}

/// Which rows of a table are shown, and in which order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arrangement {
    /// Columns to sort by, separated by commas. Ties keep the order of the whole table.
    pub sort: Option<String>,
    /// Direction; by default the highest number first, but the first text first.
    pub order: Option<Order>,
    /// Words that must match ([`crate::query::filter`]).
    pub filter: String,
    /// Columns, separated by commas: rows that agree in all of them become one.
    pub group: Option<String>,
    /// Rows to skip.
    pub offset: usize,
    /// Rows at most.
    pub limit: Option<usize>,
    /// Seconds since the Unix epoch, for filters by age.
    pub now: u64,
}

/// Several rows, summed up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RowSums {
    /// How many rows.
    pub rows: u64,
    /// Sums by column; of a column that ends in `_max` the highest value, null if none was measured.
    /// `count` is at least its sum if `count_at_least`, the number of such rows, is not 0.
    pub sums: BTreeMap<&'static str, Option<u64>>,
}

/// Rows that agree in the columns that they are grouped by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct GroupRow {
    /// Values of these columns, as text; empty where nothing is known.
    pub group: BTreeMap<String, String>,
    /// Names of the processes, in the order of their first rows, at most 8.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The rows.
    #[serde(flatten)]
    pub sums: RowSums,
}

/// An arranged table.
pub(super) struct Arranged<T> {
    pub(super) rows: Vec<T>,
    /// All rows that match the filter.
    pub(super) total: RowSums,
    /// Those of them that are not in `rows`.
    pub(super) rest: RowSums,
}

/// A value to sort by. What is not known comes before everything else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Unknown,
    Number(u64),
    Text(String),
}

/// Filters, sorts and cuts `rows`. Takes memory to sort from `bound`.
pub(super) fn rows<R: Columns>(
    rows: Vec<R>,
    by: &Arrangement,
    bound: &Bound,
) -> Result<Arranged<R>, QueryError> {
    let rows = filtered(rows, by)?;
    let columns = R::COLUMNS;
    let known = || names(columns.iter().map(|column| column.name));
    let sort = sort_columns(by, |name| {
        let column = columns.iter().find(|column| column.name == name);
        let column = column.ok_or_else(|| ArrangeError::Sort {
            name: name.to_owned(),
            known: known(),
        })?;
        Ok((column, !column.is_text()))
    })?;
    let key = |row: &R, column: &&Column<R>| match column.value(row) {
        Value::Text(text) => Key::Text(text.to_lowercase()),
        value => Key::exact(&value),
    };
    let rows = sorted(rows, &sort, by.order, key, bound)?;
    Ok(cut(rows, by, |sums, row| sums.add(row)))
}

/// Filters, groups, sorts and cuts `rows`. Takes the memory of groups from `bound`.
pub(super) fn groups<R: Columns>(
    rows: Vec<R>,
    group: &str,
    by: &Arrangement,
    bound: &Bound,
) -> Result<Arranged<GroupRow>, QueryError> {
    let columns = group_columns::<R>(group)?;
    let named = R::COLUMNS.iter().find(|column| column.name == "name");
    let mut index: HashMap<Vec<Key>, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for row in filtered(rows, by)? {
        let key: Vec<Key> = columns.iter().map(|column| (column.key)(&row)).collect();
        let at = match index.get(&key) {
            Some(at) => *at,
            None => {
                let keys: usize = key.iter().map(Key::size).sum();
                bound.take(2 * keys + Group::SIZE + R::COLUMNS.len() * Group::COLUMN)?;
                groups.push(Group {
                    keys: key.clone(),
                    ..Group::default()
                });
                index.insert(key, groups.len() - 1);
                groups.len() - 1
            }
        };
        groups[at].sums.add(&row);
        if let Some(Value::Text(name)) = named.map(|column| column.value(&row)) {
            bound.take(groups[at].add_name(&name))?;
        }
    }
    let summed = R::COLUMNS.iter().filter(|column| column.is_summed());
    let summed: Vec<&'static str> = summed.map(|column| column.name).collect();
    let sort = sort_columns(by, |name| {
        let by_key = columns.iter().position(|column| column.name == name);
        let by_sum = summed.iter().find(|column| **column == name);
        match (by_key, by_sum) {
            (Some(at), _) => Ok((GroupColumn::Key(at), !columns[at].is_text)),
            (None, Some(column)) => Ok((GroupColumn::Sum(column), true)),
            (None, None) if name == "rows" => Ok((GroupColumn::Rows, true)),
            (None, None) => Err(ArrangeError::Sort {
                name: name.to_owned(),
                known: names(
                    (columns.iter().map(|column| column.name.as_str()))
                        .chain(["rows"])
                        .chain(summed.iter().copied()),
                ),
            }),
        }
    })?;
    let sort = match sort.is_empty() {
        true => vec![(GroupColumn::Rows, true)],
        false => sort,
    };
    let key = |group: &Group, column: &GroupColumn| match column {
        GroupColumn::Key(at) => match &group.keys[*at] {
            Key::Text(text) => Key::Text(text.to_lowercase()),
            key => key.clone(),
        },
        GroupColumn::Rows => Key::Number(group.sums.rows),
        GroupColumn::Sum(name) => {
            let sum = group.sums.sums.get(name).copied().flatten();
            sum.map_or(Key::Unknown, Key::Number)
        }
    };
    let groups = sorted(groups, &sort, by.order, key, bound)?;
    let groups: Vec<GroupRow> = groups
        .into_iter()
        .map(|group| GroupRow {
            group: (columns.iter().zip(group.keys))
                .map(|(column, key)| (column.name.clone(), key.into_text()))
                .collect(),
            names: group.names,
            sums: group.sums,
        })
        .collect();
    Ok(cut(groups, by, |sums, group| {
        sums.add_sums::<R>(&group.sums);
    }))
}

/// Rows that agree in their keys.
#[derive(Default)]
struct Group {
    keys: Vec<Key>,
    sums: RowSums,
    names: Vec<String>,
}

impl Group {
    /// Memory of a group beside its keys, names and sums, as the map has it and as the answer has it.
    const SIZE: usize = 512;
    /// Memory of the sum of a column.
    const COLUMN: usize = 64;

    /// Adds a name, if there is room for it. Returns the memory that it takes.
    fn add_name(&mut self, name: &str) -> usize {
        if self.names.len() == MAX_NAMES || self.names.iter().any(|known| known == name) {
            return 0;
        }
        self.names.push(name.to_owned());
        2 * size_of::<String>() + name.len()
    }
}

/// A column that rows are grouped by.
struct KeyColumn<R> {
    name: String,
    is_text: bool,
    key: Box<dyn Fn(&R) -> Key>,
}

/// What groups are sorted by.
#[derive(Debug, Clone, Copy)]
enum GroupColumn {
    /// A column that they are grouped by.
    Key(usize),
    /// Their number of rows.
    Rows,
    /// A sum.
    Sum(&'static str),
}

fn names<'a>(columns: impl Iterator<Item = &'a str>) -> String {
    columns.collect::<Vec<_>>().join(", ")
}

fn filtered<R: Columns>(mut rows: Vec<R>, by: &Arrangement) -> Result<Vec<R>, ArrangeError> {
    let matches = matcher(by)?;
    rows.retain(matches);
    Ok(rows)
}

/// Whether a row matches the filter of `by`.
pub(super) fn matcher<R: Columns>(
    by: &Arrangement,
) -> Result<impl Fn(&R) -> bool + use<R>, ArrangeError> {
    let columns: Vec<(&str, ColumnType)> = (R::COLUMNS.iter())
        .map(|column| (column.name, column.kind()))
        .collect();
    let filter = Filter::parse(&by.filter, &columns, by.now as f64)?;
    Ok(move |row: &R| {
        let value = |column: &Column<R>| column.value(row);
        filter.is_empty() || filter.matches(&R::COLUMNS.iter().map(value).collect::<Vec<_>>())
    })
}

fn group_columns<R: Columns>(group: &str) -> Result<Vec<KeyColumn<R>>, ArrangeError> {
    let groups = |column: &&Column<R>| column.is_text() || matches!(column.get, Get::Id(_));
    let find = |name: &str| {
        if let Some(text) = R::part(name) {
            return Ok(KeyColumn {
                name: name.to_owned(),
                is_text: true,
                key: Box::new(move |row: &R| text(row).map_or(Key::Unknown, Key::Text)),
            });
        }
        let column = R::COLUMNS.iter().filter(groups).find(|c| c.name == name);
        let column = column.ok_or_else(|| ArrangeError::Group {
            name: name.to_owned(),
            known: names(R::COLUMNS.iter().filter(groups).map(|column| column.name)),
        })?;
        Ok(KeyColumn {
            name: name.to_owned(),
            is_text: column.is_text(),
            key: Box::new(|row: &R| Key::exact(&column.value(row))),
        })
    };
    group.split(',').map(find).collect()
}

/// The columns to sort by, each with whether the highest value comes first by default.
fn sort_columns<C>(
    by: &Arrangement,
    find: impl Fn(&str) -> Result<(C, bool), ArrangeError>,
) -> Result<Vec<(C, bool)>, ArrangeError> {
    match &by.sort {
        None => Ok(Vec::new()),
        Some(sort) => sort.split(',').map(find).collect(),
    }
}

/// Sorts `rows`. Ties keep their order, in both directions.
fn sorted<T, C>(
    rows: Vec<T>,
    columns: &[(C, bool)],
    order: Option<Order>,
    key: impl Fn(&T, &C) -> Key,
    bound: &Bound,
) -> Result<Vec<T>, MemoryError> {
    if columns.is_empty() {
        return Ok(rows);
    }
    // The merge sort needs room for half of the rows.
    let mut taken = rows.len() * size_of::<(Vec<Key>, T)>() * 3 / 2;
    bound.take(taken)?;
    let mut keyed: Vec<(Vec<Key>, T)> = Vec::with_capacity(rows.len());
    for row in rows {
        let keys: Vec<Key> = columns.iter().map(|(c, _)| key(&row, c)).collect();
        let size = keys.iter().map(Key::size).sum();
        bound.take(size)?;
        taken += size;
        keyed.push((keys, row));
    }
    let down: Vec<bool> = (columns.iter())
        .map(|(_, down)| order.map_or(*down, |order| order == Order::Desc))
        .collect();
    keyed.sort_by(|(a, _), (b, _)| {
        let each = a.iter().zip(b).zip(&down);
        each.map(|((a, b), down)| if *down { b.cmp(a) } else { a.cmp(b) })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    let rows = keyed.into_iter().map(|(_, row)| row).collect();
    bound.give_back(taken);
    Ok(rows)
}

/// Cuts to the page, and sums up all rows and those that are not on it.
fn cut<T>(rows: Vec<T>, by: &Arrangement, add: impl Fn(&mut RowSums, &T)) -> Arranged<T> {
    let (mut total, mut rest) = (RowSums::default(), RowSums::default());
    let end = by.offset.saturating_add(by.limit.unwrap_or(usize::MAX));
    let mut page = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        add(&mut total, &row);
        total.rows = index as u64 + 1;
        if (by.offset..end).contains(&index) {
            page.push(row);
        } else {
            let count = rest.rows + 1;
            add(&mut rest, &row);
            rest.rows = count;
        }
    }
    Arranged {
        rows: page,
        total,
        rest,
    }
}

impl Key {
    /// The value, with the case of its text.
    fn exact(value: &Value<'_>) -> Self {
        match value {
            Value::Text(text) => Self::Text(text.clone().into_owned()),
            Value::Number(number) => Self::Number(*number),
            // The bits of positive numbers are in the order of the numbers.
            Value::Time(time) => Self::Number(time.max(0.0).to_bits()),
            Value::Unknown => Self::Unknown,
        }
    }

    /// Its memory, in bytes.
    fn size(&self) -> usize {
        let text = match self {
            Self::Text(text) => text.len(),
            Self::Number(_) | Self::Unknown => 0,
        };
        size_of::<Self>() + text
    }

    fn into_text(self) -> String {
        match self {
            Self::Unknown => String::new(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

impl<R> Column<R> {
    fn is_summed(&self) -> bool {
        matches!(self.get, Get::Sum(_) | Get::Max(_))
    }
}

impl RowSums {
    fn add<R: Columns>(&mut self, row: &R) {
        self.rows += 1;
        for column in R::COLUMNS {
            match column.get {
                Get::Sum(get) => self.absorb(column, Some(get(row))),
                Get::Max(get) => self.absorb(column, get(row)),
                Get::Text(_) | Get::Labels(_) | Get::Mark(_) | Get::Id(_) | Get::Time(_) => {}
            }
        }
    }

    fn add_sums<R: Columns>(&mut self, other: &Self) {
        self.rows += other.rows;
        for column in R::COLUMNS {
            if let Some(number) = other.sums.get(column.name) {
                self.absorb(column, *number);
            }
        }
    }

    fn absorb<R>(&mut self, column: &Column<R>, number: Option<u64>) {
        let sum = self.sums.entry(column.name).or_default();
        *sum = match (matches!(column.get, Get::Max(_)), *sum, number) {
            (true, sum, number) => sum.max(number),
            (false, sum, number) => Some(sum.unwrap_or(0).saturating_add(number.unwrap_or(0))),
        };
    }
}
