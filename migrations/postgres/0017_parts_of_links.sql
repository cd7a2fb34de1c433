-- Nothing: SQLite is told here how it finds the parts of a link, and the steps have the same numbers on both.
SELECT 1;
