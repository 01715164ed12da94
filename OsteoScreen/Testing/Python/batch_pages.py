"""What every page of a batch has to be: one file that fetches nothing, and names no patient and no folder."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from batch_rows import rows

from OsteoScreenLib.batch.store import ResultSet, Store

_ALONE = {"meta", "br", "link", "img", "input"}


def filled_store(out: Path, count: int = 120, **sets: float) -> tuple[Store, list[ResultSet]]:
    """A store with a set for each of ``sets``, whose HU are shifted by so much."""
    store = Store.open(out)
    for version, shift in sets.items():
        bundle = {"role": "segmentation", "name": "vertebral-body-dcnn", "version": version, "sha256": version[-1] * 64}
        settings = {"suggest": True, "calibration": "/home/DOE^JANE/ax17.json", "write": ["pdf"], "force": False}
        set_id = store.begin_set(settings, {"osteoscreen": "0.1.0"}, [bundle])
        store.add(set_id, (row.study for row in rows(count, shift=shift)), suggest=True)
        for row in rows(count, shift=shift):
            if row.state.is_final:
                store.finish(set_id, row)
    return store, store.sets()


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.policy = ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        values = dict(attrs)
        assert not {"style", "src", "onclick", "onload"} & set(values), (tag, attrs)
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]
        if "href" in values:
            self.links.append(values["href"])
        if tag not in _ALONE:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in _ALONE:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(path: Path) -> tuple[str, list[str]]:
    """A page's text and links, after everything that holds for every page was looked at."""
    text = path.read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert page.open == [] and "script" not in page.tags and "img" not in page.tags
    assert "default-src 'none'" in page.policy and "Research use only" in text
    assert not re.search(r"https?://|url\(|@import", text)
    assert not re.search(r"DOE|ROE\^|POE|LOW\^|JANE|archive", text)
    assert all(not re.match(r"[a-z]+:|/", link) for link in page.links)
    return text, page.links
