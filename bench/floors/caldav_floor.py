#!/usr/bin/env python3
"""The bare protocol floor: what any CalDAV client must at least exchange with the server, and nothing else.

Sends the requests, reads the answers to their last byte, and drops them: no calendar is parsed, mapped or stored.
Only the standard library. Prints one JSON object; `seconds` counts from the first request to the last byte and leaves
out the interpreter's start.

  initial   PROPFIND for the etags, then one calendar-multiget for every object
  changes   one sync-collection REPORT with --token, the changed objects in its answer; without one: all objects
  token     the current sync token (to begin with; nobody's time is taken)

The account comes from FLOOR_USER and FLOOR_PASSWORD.
"""
import argparse
import base64
import http.client
import json
import os
import re
import time
import urllib.parse

NAMESPACES = 'xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"'
ETAGS = f'<d:propfind {NAMESPACES}><d:prop><d:getetag/></d:prop></d:propfind>'


def multiget(hrefs):
    listed = "".join(f"<d:href>{href}</d:href>" for href in hrefs)
    return (f'<c:calendar-multiget {NAMESPACES}><d:prop><d:getetag/><c:calendar-data/></d:prop>'
            f'{listed}</c:calendar-multiget>')


def sync_collection(token, data):
    wanted = "<d:getetag/><c:calendar-data/>" if data else "<d:getetag/>"
    return (f'<d:sync-collection {NAMESPACES}><d:sync-token>{token}</d:sync-token>'
            f'<d:sync-level>1</d:sync-level><d:prop>{wanted}</d:prop></d:sync-collection>')


class Server:
    """One connection, kept open where the server allows it."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.path = parts.path
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=300)
        account = f'{os.environ["FLOOR_USER"]}:{os.environ["FLOOR_PASSWORD"]}'
        self.headers = {
            "Authorization": "Basic " + base64.b64encode(account.encode()).decode(),
            "Content-Type": "application/xml; charset=utf-8",
        }
        self.requests = 0
        self.bytes = 0

    def ask(self, method, depth, body):
        self.connection.request(method, self.path, body.encode(), {**self.headers, "Depth": depth})
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != 207:
            raise SystemExit(f"{method}: {answer.status} {content[:300]!r}")
        self.requests += 1
        self.bytes += len(content)
        return content


def hrefs_of_objects(multistatus, collection):
    found = re.findall(rb"<(?:\w+:)?href>([^<]+)</(?:\w+:)?href>", multistatus)
    return [href for href in (one.decode() for one in found) if href.rstrip("/") != collection.rstrip("/")]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("what", choices=["initial", "changes", "token"])
    arguments.add_argument("--url", required=True)
    arguments.add_argument("--token", default="")
    given = arguments.parse_args()
    server = Server(given.url)

    started = time.perf_counter()
    if given.what == "initial":
        hrefs = hrefs_of_objects(server.ask("PROPFIND", "1", ETAGS), server.path)
        content = server.ask("REPORT", "1", multiget(hrefs))
    else:
        content = server.ask("REPORT", "1", sync_collection(given.token, given.what == "changes"))
    seconds = time.perf_counter() - started

    token = re.search(rb"<(?:\w+:)?sync-token>([^<]+)<", content)
    print(json.dumps({
        "seconds": seconds,
        "requests": server.requests,
        "bytes": server.bytes,
        "objects": content.count(b"BEGIN:VCALENDAR"),
        "token": token.group(1).decode() if token else None,
    }))


if __name__ == "__main__":
    main()
