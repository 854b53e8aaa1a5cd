"""The page of an experiment in a real browser; nothing but this machine is asked for anything."""

import html
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from page_samples import HOSTILE, sample_content

from clrbench.report.page import render_page

pytestmark = pytest.mark.acceptance

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# The last one keeps the browser from asking its maker for anything, which it tries in spite of all others.
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
MAX_SECONDS = 300
"""A browser that starts beside the trainings of other tests may take a minute; only one that hangs takes this long."""
WIDTHS = (360, 1280)
# The frames are as wide as a telephone and a screen: a headless window is never narrower than 500 pixels.
HARNESS = """<!DOCTYPE html><html><body><img src="{address}/from-the-harness">{frames}<pre></pre><script>
addEventListener("load", () => {{
  const seen = [...document.querySelectorAll("iframe")].map((frame) => {{
    const page = frame.contentDocument, root = page.documentElement;
    page.querySelectorAll("details").forEach((details) => {{ details.open = true; }});
    const wide = [...page.querySelectorAll("body *")].filter((element) => !element.closest(".scroll"));
    return {{
      width: root.clientWidth,
      needed: Math.max(root.scrollWidth, ...wide.map((element) => element.getBoundingClientRect().right)),
      scrolling: [...page.querySelectorAll("*")].filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 1
        && getComputedStyle(e).overflowX !== "visible").map((e) => e.className),
      pictures: [...page.querySelectorAll("svg.picture")].map((one) => [one.clientWidth, one.clientHeight]),
      answer_ends: Math.max(0, ...[...page.querySelectorAll(".answer")].map((one) => one.getBoundingClientRect().bottom)),
      cut: [...page.querySelectorAll(".answer .scroll")].filter((e) => e.scrollWidth > e.clientWidth + 1).length,
      ground: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
      requested: frame.contentWindow.performance.getEntriesByType("resource").map((entry) => entry.name),
    }};
  }});
  document.querySelector("pre").textContent = JSON.stringify(seen);
}});
</script></body></html>"""


@pytest.fixture(scope="module")
def browser() -> str:
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    missing = "no Chromium on PATH; install one, on Debian with: apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()


@pytest.fixture(scope="module")
def page_text(server: tuple[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> str:
    hostile = HOSTILE.format(address=f"{server[0]}/from-the-page") + "w" * 90
    return render_page(sample_content(tmp_path_factory.mktemp("results"), hostile=hostile))


def dump_dom(browser: str, folder: Path, content: str, scheme: str) -> str:
    """Return the page as the browser has it once loaded."""
    place = folder / "page.html"
    place.write_text(content)
    settings = (f"--user-data-dir={folder / 'profile'}", f"--blink-settings=preferredColorScheme={scheme}")
    done = subprocess.run(
        [browser, *OPTIONS, *settings, "--window-size=1500,900", "--dump-dom", place.as_uri()],
        capture_output=True,
        text=True,
        timeout=MAX_SECONDS,
        check=True,
    )
    return done.stdout


def measured(browser: str, folder: Path, server: str, content: str, dark: bool) -> list[dict[str, Any]]:
    """Return what the browser finds in frames of both widths, and in one that holds something too wide."""
    too_wide = '<div style="width:900px">wide</div>'
    frames = [(width, content) for width in WIDTHS] + [(360, too_wide)]
    shown = "".join(
        f'<iframe style="border:0;width:{width}px;height:800px" srcdoc="{html.escape(text)}"></iframe>'
        for width, text in frames
    )
    dom = dump_dom(browser, folder, HARNESS.format(address=server, frames=shown), "0" if dark else "1")
    (found,) = re.findall(r"<pre>(\[.*\])</pre>", dom)
    return list(json.loads(html.unescape(found)))


@pytest.fixture(scope="module")
def light(
    browser: str, server: tuple[str, list[str]], page_text: str, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    return measured(browser, tmp_path_factory.mktemp("light"), server[0], page_text, dark=False)


def test_the_browser_keeps_the_page_as_it_was_written(browser: str, page_text: str, tmp_path: Path) -> None:
    dom = dump_dom(browser, tmp_path, page_text, "1")
    assert "<p>torch: clr beats constant (untuned).</p>" in dom
    assert len(re.findall("<[a-z]", dom)) == len(re.findall("<[a-z]", page_text))


def test_every_picture_is_drawn(light: list[dict[str, Any]]) -> None:
    assert [len(seen["pictures"]) for seen in light] == [6, 6, 0]
    assert all(width > 300 and height > 50 for seen in light for width, height in seen["pictures"])


def test_answer_table_and_forest_plot_stand_on_the_first_screen(light: list[dict[str, Any]]) -> None:
    assert 0 < light[1]["answer_ends"] < 900


def test_the_page_asks_nobody_for_anything(light: list[dict[str, Any]], server: tuple[str, list[str]]) -> None:
    assert set(server[1]) == {"/from-the-harness"}
    assert [name for seen in light for name in seen["requested"] if not name.startswith("data:")] == []


def test_nothing_but_tables_scrolls_sideways(light: list[dict[str, Any]]) -> None:
    narrow, wide, control = light
    assert (narrow["width"], wide["width"], control["needed"]) == (360, 1280, 908)
    assert narrow["needed"] <= 360
    assert wide["needed"] <= 1280
    assert set(narrow["scrolling"]) == {"scroll"}


def test_no_column_of_the_answer_is_cut_on_any_screen(
    browser: str, server: tuple[str, list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    content = render_page(sample_content(folder)).replace(">constant</th>", ">baseline_of_a_long_name</th>")
    assert content.count(">baseline_of_a_long_name</th>") > 0
    assert "@media (max-width: 40rem)" in content
    side_by_side = content.replace("@media (max-width: 40rem)", "@media (max-width: 0)")
    found = [measured(browser, tmp_path, server[0], text, dark=False) for text in (content, side_by_side)]
    (narrow, wide, _), (control, *_) = found
    assert (narrow["cut"], wide["cut"]) == (0, 0)
    assert control["cut"] > 0


def test_the_page_is_dark_where_that_is_preferred(
    browser: str, server: tuple[str, list[str]], page_text: str, light: list[dict[str, Any]], tmp_path: Path
) -> None:
    dark = measured(browser, tmp_path, server[0], page_text, dark=True)
    assert [seen["ground"] for seen in light[:2]] == ["rgb(255, 255, 255)"] * 2
    assert [seen["ground"] for seen in dark[:2]] == ["rgb(20, 23, 27)"] * 2
