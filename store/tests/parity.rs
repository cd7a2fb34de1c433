//! The tables of both engines are the same: names, columns in their order, types, what may be null, keys and indexes.

#![allow(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

mod place;

use std::collections::{BTreeMap, BTreeSet};

use place::Place;
use sqlx::{Connection, PgConnection, Row, SqliteConnection};

/// A column: its name, the sort of its values, whether it may be null, its place in the primary key, its default.
type Column = (String, String, bool, i64, Option<String>);

#[derive(Debug, PartialEq, Eq)]
struct Tables {
    columns: BTreeMap<String, Vec<Column>>,
    /// Whether unique, which columns of which table, by name.
    indexes: BTreeMap<String, (bool, String, Vec<String>, bool)>,
    /// From columns of a table to a table, and what a delete does.
    references: BTreeSet<(String, String, String, String)>,
}

const OWN_TABLES_OF_SQLX: &str = "_sqlx_migrations";

async fn on_sqlite() -> Tables {
    let place = Place::new();
    place.open().await.close().await;
    let mut conn = SqliteConnection::connect(&place.url()).await.unwrap();
    let rows = sqlx::query(
        "SELECT m.name AS name, c.name AS column_name, c.type AS type, c.\"notnull\" AS needed, c.pk AS pk,
            c.dflt_value AS preset
         FROM sqlite_master m JOIN pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name <> $1 AND m.name NOT LIKE 'sqlite_stat%' ORDER BY m.name, c.cid",
    )
    .bind(OWN_TABLES_OF_SQLX)
    .fetch_all(&mut conn)
    .await
    .unwrap();
    let mut columns: BTreeMap<String, Vec<Column>> = BTreeMap::new();
    for row in rows {
        let sort = match row.get::<&str, _>("type") {
            "BLOB" => "BYTEA",
            other => other,
        };
        columns.entry(row.get("name")).or_default().push((
            row.get("column_name"),
            sort.to_owned(),
            row.get::<i64, _>("needed") == 0,
            row.get("pk"),
            row.get("preset"),
        ));
    }
    let rows = sqlx::query(
        "SELECT l.name AS name, m.name AS tabled, l.\"unique\" AS single, l.partial AS partial,
            group_concat(c.name, ',' ORDER BY c.seqno) AS columns
         FROM sqlite_master m JOIN pragma_index_list(m.name) l JOIN pragma_index_info(l.name) c
         WHERE m.type = 'table' AND m.name <> $1 AND l.origin = 'c' GROUP BY l.name",
    )
    .bind(OWN_TABLES_OF_SQLX)
    .fetch_all(&mut conn)
    .await
    .unwrap();
    let mut indexes = BTreeMap::new();
    for row in rows {
        let names = row.get::<String, _>("columns");
        indexes.insert(
            row.get("name"),
            (
                row.get::<i64, _>("single") == 1,
                row.get("tabled"),
                names.split(',').map(str::to_owned).collect(),
                row.get::<i64, _>("partial") == 1,
            ),
        );
    }
    let rows = sqlx::query(
        "SELECT m.name AS tabled, f.\"table\" AS other, f.on_delete AS gone,
            group_concat(f.\"from\", ',' ORDER BY f.seq) AS columns
         FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
         WHERE m.type = 'table' GROUP BY m.name, f.id",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    let references = rows
        .iter()
        .map(|row| {
            (
                row.get("tabled"),
                row.get("columns"),
                row.get("other"),
                row.get("gone"),
            )
        })
        .collect();
    Tables {
        columns,
        indexes,
        references,
    }
}

async fn on_postgres() -> Tables {
    let place = Place::on_postgres();
    place.open().await.close().await;
    let mut conn = PgConnection::connect(&place.url()).await.unwrap();
    let rows = sqlx::query(
        "SELECT c.table_name::TEXT AS name, c.column_name::TEXT, c.udt_name::TEXT AS type, c.is_nullable = 'YES' AS free,
            c.collation_name::TEXT AS collated, c.column_default::TEXT AS preset,
            COALESCE((SELECT k.ordinal_position::BIGINT FROM information_schema.table_constraints t
                JOIN information_schema.key_column_usage k USING (constraint_name, table_name, table_schema)
                WHERE t.constraint_type = 'PRIMARY KEY' AND t.table_schema = c.table_schema
                    AND t.table_name = c.table_name AND k.column_name = c.column_name), 0) AS pk
         FROM information_schema.columns c
         WHERE c.table_schema = current_schema() AND c.table_name <> $1 ORDER BY c.table_name, c.ordinal_position",
    )
    .bind(OWN_TABLES_OF_SQLX)
    .fetch_all(&mut conn)
    .await
    .unwrap();
    let mut columns: BTreeMap<String, Vec<Column>> = BTreeMap::new();
    for row in rows {
        let name: String = row.get("column_name");
        let sort = match row.get::<&str, _>("type") {
            "int8" => "BIGINT".to_owned(),
            "text" => "TEXT".to_owned(),
            "bytea" => "BYTEA".to_owned(),
            other => other.to_owned(),
        };
        let collated: Option<&str> = row.get("collated");
        assert!(
            sort != "TEXT" || collated == Some("C"),
            "{name} is sorted otherwise: {collated:?}"
        );
        let preset: Option<String> = row.get("preset");
        columns.entry(row.get("name")).or_default().push((
            name,
            sort,
            row.get("free"),
            row.get("pk"),
            preset.map(|preset| preset.split("::").next().unwrap_or_default().to_owned()),
        ));
    }
    let rows = sqlx::query(
        "SELECT i.relname::TEXT AS name, t.relname::TEXT AS tabled, x.indisunique AS single,
            x.indpred IS NOT NULL AS partial,
            (SELECT string_agg(a.attname::TEXT, ',' ORDER BY k.place) FROM unnest(x.indkey::int2[]) WITH ORDINALITY k(number, place)
                JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number) AS columns
         FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
         WHERE t.relnamespace = current_schema()::regnamespace AND NOT x.indisprimary AND t.relname <> $1",
    )
    .bind(OWN_TABLES_OF_SQLX)
    .fetch_all(&mut conn)
    .await
    .unwrap();
    let mut indexes = BTreeMap::new();
    for row in rows {
        let names = row.get::<String, _>("columns");
        indexes.insert(
            row.get("name"),
            (
                row.get("single"),
                row.get("tabled"),
                names.split(',').map(str::to_owned).collect(),
                row.get("partial"),
            ),
        );
    }
    let rows = sqlx::query(
        "SELECT c.conrelid::regclass::TEXT AS tabled, c.confrelid::regclass::TEXT AS other,
            CASE c.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'a' THEN 'NO ACTION' ELSE 'other' END AS gone,
            (SELECT string_agg(a.attname::TEXT, ',' ORDER BY k.place) FROM unnest(c.conkey) WITH ORDINALITY k(number, place)
                JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number) AS columns
         FROM pg_constraint c WHERE c.contype = 'f' AND c.connamespace = current_schema()::regnamespace",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    let references = rows
        .iter()
        .map(|row| {
            (
                row.get("tabled"),
                row.get("columns"),
                row.get("other"),
                row.get("gone"),
            )
        })
        .collect();
    Tables {
        columns,
        indexes,
        references,
    }
}

/// The tables that `doctor` counts and a copy takes along.
async fn counted() -> Vec<String> {
    let place = Place::new();
    let facts = place.open().await.facts(0).await.unwrap();
    facts.rows.into_iter().map(|(table, _)| table).collect()
}

#[tokio::test]
async fn both_engines_have_the_same_tables() {
    let (sqlite, postgres) = (on_sqlite().await, on_postgres().await);
    assert_eq!(
        sqlite.columns.keys().collect::<Vec<_>>(),
        postgres.columns.keys().collect::<Vec<_>>()
    );
    for (table, columns) in &sqlite.columns {
        assert_eq!(columns, &postgres.columns[table], "{table}");
    }
    assert_eq!(sqlite.indexes, postgres.indexes);
    assert_eq!(sqlite.references, postgres.references);
    let counted: BTreeSet<String> = counted().await.into_iter().collect();
    let all: BTreeSet<String> = sqlite.columns.keys().cloned().collect();
    let others: Vec<_> = all.symmetric_difference(&counted).collect();
    assert_eq!(
        others,
        ["installation"],
        "`facts` counts and `copy` copies all but this one"
    );
    assert!(sqlite.columns.len() > 15 && sqlite.indexes.len() > 10 && sqlite.references.len() > 10);
}
