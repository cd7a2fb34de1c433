//! CalDAV: Apple, Nextcloud, Radicale, Fastmail and every other RFC 4791 server.
