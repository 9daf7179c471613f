//! Whether a master's tables are those that the program made.

use std::collections::{BTreeMap, BTreeSet};

use crate::fault::Fault;
use crate::link::Link;
use crate::render::{self, Dialect};
use crate::schema::{Column, Kind, Schema, TableInfo};
use crate::tables::read;
use crate::value::Row;

/// A table as the engine describes it.
#[derive(Default)]
struct Described {
    /// Type and whether it may be null, by name.
    columns: BTreeMap<String, (String, bool)>,
    /// By name: whether it is unique, and its columns in order. The primary key
    /// is called `primary key`.
    indexes: BTreeMap<String, (bool, Vec<String>)>,
}

const PRIMARY: &str = "primary key";

/// What is not as it was made.
#[derive(Default)]
pub(super) struct Wrong {
    /// One sentence each.
    pub(super) told: Vec<String>,
    /// Tables whose rows can't be compared: one of the columns that the program made
    /// is not there or another, or there is another key.
    pub(super) unfit: BTreeSet<&'static str>,
}

/// Compares what a master has with what the program made there.
pub(super) async fn compare(link: &mut Link, schema: &Schema) -> Result<Wrong, Fault> {
    let dialect = link.dialect();
    let there = match dialect {
        Dialect::Sqlite => sqlite(link).await?,
        Dialect::MariaDb | Dialect::MySql => mysql(link).await?,
    };
    let mut wrong = Wrong::default();
    for info in schema.infos() {
        match there.get(info.name) {
            None => wrong.unfit(info, format!("there is no table `{}`", info.name)),
            Some(table) => differences(info, table, dialect, &mut wrong),
        }
    }
    for name in there.keys().filter(|name| !name.starts_with("mm_")) {
        if schema.table(name).is_err() {
            wrong.told.push(format!("the table `{name}` is not this program's"));
        }
    }
    Ok(wrong)
}

impl Wrong {
    fn unfit(&mut self, info: &TableInfo, why: String) {
        self.told.push(why);
        self.unfit.insert(info.name);
    }
}

fn differences(info: &TableInfo, there: &Described, dialect: Dialect, wrong: &mut Wrong) {
    let table = info.name;
    let ours = [Column::new("_v", Kind::Int), Column::new("_d", Kind::Int)];
    let mut known = Vec::new();
    for column in info.columns.iter().chain(&ours) {
        known.push(column.name);
        let should = (type_of(column, dialect), column.nullable);
        match there.columns.get(column.name) {
            None => wrong.unfit(info, format!("`{table}` has no column `{}`", column.name)),
            Some(is) if *is != should => {
                let (name, is, should) = (column.name, told(is), told(&should));
                wrong.unfit(
                    info,
                    format!("column `{name}` of `{table}` is {is}, and was made {should}"),
                );
            }
            Some(_) => {}
        }
    }
    for name in there.columns.keys().filter(|name| !known.contains(&name.as_str())) {
        wrong.told.push(format!("column `{name}` of `{table}` is not this program's"));
    }
    let owned = |columns: &mut dyn Iterator<Item = &'static str>| -> Vec<String> {
        columns.map(str::to_owned).collect()
    };
    let mut indexes: BTreeMap<&str, (bool, Vec<String>)> = info
        .indexes
        .iter()
        .map(|index| (index.name, (index.unique, owned(&mut index.columns.iter().copied()))))
        .collect();
    let key = owned(&mut info.key.iter().map(|&at| info.columns[at].name));
    indexes.insert(PRIMARY, (true, key));
    for (name, should) in &indexes {
        let why = match there.indexes.get(*name) {
            None => format!("the index `{name}` of `{table}` is missing"),
            Some(is) if is != should => {
                format!("the index `{name}` of `{table}` is another than was made")
            }
            Some(_) => continue,
        };
        if *name == PRIMARY {
            wrong.unfit(info, why);
        } else {
            wrong.told.push(why);
        }
    }
    for name in there.indexes.keys().filter(|name| !indexes.contains_key(name.as_str())) {
        wrong.told.push(format!("the index `{name}` of `{table}` is not this program's"));
    }
}

fn type_of(column: &Column, dialect: Dialect) -> String {
    let kind = render::column_type(column, dialect);
    match (column.kind, dialect) {
        (Kind::Text { .. }, Dialect::MariaDb | Dialect::MySql) => {
            format!("{kind} collate {}", render::collation(dialect))
        }
        _ => kind,
    }
}

fn told((kind, nullable): &(String, bool)) -> String {
    format!("{kind}{}", if *nullable { "" } else { " not null" })
}

async fn sqlite(link: &mut Link) -> Result<BTreeMap<String, Described>, Fault> {
    let mut tables: BTreeMap<String, Described> = BTreeMap::new();
    let columns = "select t.name as tbl, c.name, lower(c.type) as kind, 1 - c.\"notnull\" as nulls \
                   from sqlite_master t, pragma_table_info(t.name) c \
                   where t.type = 'table' and t.name not like 'sqlite\\_%' escape '\\'";
    for row in link.query(columns, &[]).await? {
        add_column(&mut tables, &row)?;
    }
    let indexes = "select t.name as tbl, \
                   case i.origin when 'pk' then 'primary key' else i.name end as name, \
                   i.\"unique\" as one, c.name as col \
                   from sqlite_master t, pragma_index_list(t.name) i, pragma_index_info(i.name) c \
                   where t.type = 'table' order by t.name, i.name, c.seqno";
    for row in link.query(indexes, &[]).await? {
        add_index(&mut tables, &row)?;
    }
    Ok(tables)
}

async fn mysql(link: &mut Link) -> Result<BTreeMap<String, Described>, Fault> {
    let mut tables: BTreeMap<String, Described> = BTreeMap::new();
    let columns = "select table_name as tbl, column_name as name, \
                   convert(case when data_type in ('bigint', 'tinyint') then data_type \
                   when collation_name is null then column_type \
                   else concat(column_type, ' collate ', collation_name) end using utf8mb4) \
                   as kind, \
                   is_nullable = 'YES' as nulls \
                   from information_schema.columns where table_schema = database()";
    for row in link.query(columns, &[]).await? {
        add_column(&mut tables, &row)?;
    }
    let indexes = "select table_name as tbl, \
                   case index_name when 'PRIMARY' then 'primary key' else index_name end as name, \
                   non_unique = 0 as one, column_name as col \
                   from information_schema.statistics where table_schema = database() \
                   order by table_name, index_name, seq_in_index";
    for row in link.query(indexes, &[]).await? {
        add_index(&mut tables, &row)?;
    }
    Ok(tables)
}

fn add_column(tables: &mut BTreeMap<String, Described>, row: &Row) -> Result<(), Fault> {
    let table: String = read(row, "tbl")?;
    let (name, kind, nulls): (String, String, bool) =
        (read(row, "name")?, read(row, "kind")?, read(row, "nulls")?);
    tables.entry(table).or_default().columns.insert(name, (kind, nulls));
    Ok(())
}

fn add_index(tables: &mut BTreeMap<String, Described>, row: &Row) -> Result<(), Fault> {
    let table: String = read(row, "tbl")?;
    let (name, one, column): (String, bool, String) =
        (read(row, "name")?, read(row, "one")?, read(row, "col")?);
    let index = tables.entry(table).or_default().indexes.entry(name);
    index.or_insert_with(|| (one, Vec::new())).1.push(column);
    Ok(())
}
