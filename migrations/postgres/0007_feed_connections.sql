-- The connections that a change concerns, written with it: later its links may be gone. What was written before names
-- those of its links that are left.
ALTER TABLE changes ADD COLUMN connections TEXT COLLATE "C" NOT NULL DEFAULT '[]';
UPDATE changes SET connections = CASE kind
    WHEN 'connection' THEN json_build_array(subject)::TEXT
    WHEN 'collection' THEN COALESCE((
        SELECT json_agg(c.connection_id)::TEXT FROM collections c
        WHERE c.organization_id = changes.organization_id AND c.id = changes.subject
    ), '[]')
    ELSE COALESCE((
        SELECT json_agg(DISTINCT l.connection_id)::TEXT FROM links l
        WHERE l.organization_id = changes.organization_id AND l.record_id = changes.subject
    ), '[]')
END;
