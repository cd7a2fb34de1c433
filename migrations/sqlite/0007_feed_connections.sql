-- The connections that a change concerns, written with it: later its links may be gone.
ALTER TABLE changes ADD COLUMN connections TEXT NOT NULL DEFAULT '[]';
UPDATE changes SET connections = CASE kind
    WHEN 'connection' THEN json_array(subject)
    WHEN 'collection' THEN COALESCE((
        SELECT json_group_array(c.connection_id) FROM collections c
        WHERE c.organization_id = changes.organization_id AND c.id = changes.subject
    ), '[]')
    ELSE COALESCE((
        SELECT json_group_array(DISTINCT l.connection_id) FROM links l
        WHERE l.organization_id = changes.organization_id AND l.record_id = changes.subject
    ), '[]')
END;
