-- The webhook that brought a change about: the one whose work is in the change's own transaction, or whose notice made the
-- job run that found it. Of several that were worked on together it is the first. A job passes it on.
ALTER TABLE changes ADD COLUMN webhook TEXT;
ALTER TABLE jobs ADD COLUMN webhook TEXT;
