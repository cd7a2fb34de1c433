-- What a link is known for: who agreed to what, how its provider rewrites, what was written lately.
ALTER TABLE links ADD COLUMN traits TEXT COLLATE "C" NOT NULL DEFAULT '{}';
