"""The page of a screening in a real browser, from a phone to a workstation: colours, lines, and what it asks for."""

from __future__ import annotations

import html
import http.server
import io
import json
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_cases import CASES, pictures, poisoned, refused_before_reading

from OsteoScreenLib.reports import StudyPictures, render_html


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: render_html(result(), drawn()) for name, (result, drawn) in CASES.items()}


# -- colours


def palettes() -> dict[str, dict[str, str]]:
    styles = render_html(refused_before_reading(), StudyPictures())
    blocks = re.findall(r":root \{(.*?)\}", styles, flags=re.DOTALL)
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in blocks)
    return {"light": light, "dark": dark}


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_text_is_enough(scheme: str) -> None:
    colours = palettes()[scheme]
    pairs = [(text, ground) for text in ("ink", "soft", "accent") for ground in ("page", "card")]
    pairs += [(kind, f"{kind}-fill") for kind in ("good", "warn", "bad")]
    pairs += [(text, f"{kind}-fill") for text in ("ink", "soft") for kind in ("warn", "bad")]
    pairs += [(kind, "card") for kind in ("good", "warn", "bad")]
    assert [(pair, contrast(colours[pair[0]], colours[pair[1]])) for pair in pairs if contrast(
        colours[pair[0]], colours[pair[1]]) < 4.5] == []  # fmt: skip


# -- in a real browser


PROBE = """<script>addEventListener("load", () => {
  const box = item => item.getBoundingClientRect();
  const all = (what, of) => [...(of || document).querySelectorAll(what)];
  const hidden = () => getComputedStyle(document.querySelector(".picture .line.inset") || document.body).display;
  const meets = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const before = hidden();
  const off = document.querySelector(".switch-inset");
  if (off) off.click();
  const met = (one, n, letters) => letters.slice(n + 1).filter(other => meets(box(one), box(other)))
    .map(other => `${one.textContent} on ${other.textContent}`);
  const crowded = all("svg.picture").flatMap(svg => all(".letter", svg).flatMap(met));
  const parted = all(".switch").filter(item => Math.abs(box(item).top - box(item.nextElementSibling).top) > 20);
  const cut = all("thead th").filter(item => item.scrollWidth > item.clientWidth + 1);
  parent.postMessage({
    width: innerWidth, needed: document.documentElement.scrollWidth, before: before, after: hidden(),
    requests: performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !/^data:/.test(name)),
    letters: Math.min(...all(".letter").map(item => box(item).height)),
    images: all("image").filter(item => box(item).width < 90).length,
    crowded: crowded, parted: parted.length, cut: cut.length, options: all(".option").length,
    broken: all(".option").filter(item => item.getClientRects().length > 1).map(item => item.textContent),
    drawn: all(".picture .line.inset").length > 0
  }, "*");
});</script>"""


def test_no_overflow_from_phone_to_workstation(chromium, pages: dict[str, str], tmp_path: Path) -> None:
    """Each page at each width: nothing overflows or is cut, no letter lies on another, no option breaks."""
    frames, widths = [], (360, 390, 800, 1600)
    shown = {name: page for name, page in pages.items() if name not in ("screened", "accepted", "corrected")}
    for number, page in enumerate([*shown.values(), render_html(poisoned("W" * 300), pictures())]):
        copy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', PROBE, page)
        (tmp_path / f"{number}.html").write_text(copy, encoding="utf-8")
        frames += [f'<iframe src="{number}.html" style="width:{width}px;height:800px"></iframe>' for width in widths]
    collect = (
        '<pre id="found"></pre><script>const found = []; addEventListener("message", event => { found.push(event.data);'
        'document.getElementById("found").textContent = JSON.stringify(found); });</script>'
    )
    (tmp_path / "frames.html").write_text(collect + "".join(frames), encoding="utf-8")
    dump = chromium("--virtual-time-budget=40000", "--dump-dom", (tmp_path / "frames.html").as_uri()).decode()
    found = json.loads(html.unescape(dump.split('<pre id="found">')[1].split("</pre>")[0]))
    assert len(found) == len(frames)
    assert {item["width"] for item in found} == set(widths)
    for item in found:
        assert item["needed"] <= item["width"]
        assert item["requests"] == []
        assert (item["images"], item["crowded"], item["parted"], item["cut"]) == (0, [], 0, 0), item
        assert item["broken"] == []
        assert item["letters"] is None or item["letters"] >= 8
    assert sum(item["options"] for item in found) >= 4 * len(widths)
    drawn = [item for item in found if item["drawn"]]
    assert len(drawn) == 6 * len(widths)
    assert all((item["before"], item["after"]) == ("inline", "none") for item in drawn)


class _Asked(http.server.BaseHTTPRequestHandler):
    """Keeps the address of every request to anybody."""

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.headers['Host']}{self.path}")  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_no_request_leaves_the_page(chromium, pages: dict[str, str], tmp_path: Path) -> None:
    """The browser would ask our server for any address; a page full of addresses asks for none."""
    fetch = '"><img src=http://evil.example/a.png><link rel=stylesheet href=http://evil.example/b.css>url(http://evil.example/c)'
    (tmp_path / "hostile.html").write_text(render_html(poisoned(fetch), pictures()), encoding="utf-8")
    (tmp_path / "whole.html").write_text(pages["followed up"], encoding="utf-8")
    (tmp_path / "control.html").write_text("<img src=http://evil.example/control.png>", encoding="utf-8")
    frames = (f'<iframe src="{name}.html" width="900"></iframe>' for name in ("hostile", "whole", "control"))
    (tmp_path / "all.html").write_text("".join(frames), encoding="utf-8")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Asked)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        rules = f"--host-resolver-rules=MAP * 127.0.0.1:{server.server_port}"
        chromium(rules, "--virtual-time-budget=5000", "--dump-dom", (tmp_path / "all.html").as_uri())
    finally:
        server.shutdown()
        server.server_close()
    # Chromium has errands of its own; only the control page's picture was ours.
    assert [address for address in server.asked if "evil" in address] == ["evil.example/control.png"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_policy_lets_style_and_pictures_through(
    chromium,
    pages: dict[str, str],
    tmp_path: Path,
    scheme: str,
):
    (tmp_path / "report.html").write_text(pages["screened"], encoding="utf-8")
    target = tmp_path / "shot.png"
    preference = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    chromium(*preference, f"--screenshot={target}", "--window-size=900,2600", (tmp_path / "report.html").as_uri())
    shot = np.asarray(Image.open(io.BytesIO(target.read_bytes())).convert("RGB")).astype(int)
    page = [int(palettes()[scheme]["page"][start : start + 2], 16) for start in (1, 3, 5)]
    assert shot[2, 2].tolist() == page
    outline = np.abs(shot - [0xFF, 0xD8, 0x3D]).sum(axis=-1) < 24
    violet = np.abs(shot - [68, 1, 84]).sum(axis=-1) < 12
    assert outline.sum() > 500
    assert violet.sum() > 5000
