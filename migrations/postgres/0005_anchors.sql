-- Of which start of its series the key in a conflict's path speaks: keys move with their series.
ALTER TABLE conflicts ADD COLUMN anchor TEXT COLLATE "C";
