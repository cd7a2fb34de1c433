-- Without statistics SQLite looks for the parts of a few links through all parts of the organization: it takes it that ten
-- rows share the first column of a key. Here it is told how it is, as in step 11
-- (https://www.sqlite.org/lang_analyze.html, "Manual Control Of Query Plans").
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('link_parts', 'link_parts', '1000000 1000000 10000 1'),
    ('link_parts', 'link_parts_by_link', '1000000 1000000 2');
ANALYZE sqlite_schema;
