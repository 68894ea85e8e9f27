# SPDX-License-Identifier: MIT
"""The pages as a site, and their pictures: `make book`, `make pictures`."""

import importlib.util
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from urllib.parse import unquote

import guest
import pytest

DOCS = guest.TOP / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
PICTURES = sorted((DOCS / "pictures").glob("*.svg"))
WIDTHS = (360, 1280)  # of a phone, of a desk
PATIENCE = 120  # seconds of the clock for a browser, as a last resort
pytestmark = pytest.mark.xdist_group("book")


def make(*words):
    done = subprocess.run([guest.MAKE, *words], cwd=guest.TOP, text=True, env=guest.environment(),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


# --- the pages -----------------------------------------------------------------------------------

@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """The site; Sphinx ends with an error at the first warning."""
    folder = tmp_path_factory.mktemp("book")
    make("book", f"BUILD={folder}", *guest.chosen("PYTHON"))
    return folder / "book"


def name_of(page):
    return page.relative_to(DOCS).with_suffix("").as_posix()


def test_each_page_is_in_the_contents():
    """By a row in a table of docs/README.md or docs/labs/README.md: conf.py reads those."""
    listed = {"README"}
    for index in DOCS / "README.md", DOCS / "labs/README.md":
        for row in re.findall(r"^\| \[[^]]*\]\(([\w/.-]+\.md)\) \|", index.read_text(), re.M):
            listed.add(name_of((index.parent / row).resolve()))
    missing = [name_of(page) for page in PAGES if name_of(page) not in listed]
    assert not missing, f"please add a row to a table of docs/README.md for {missing}"


def test_links(book):
    """Each leads to a file of the site, and to a place that is in it."""
    text = {path: path.read_text() for path in book.rglob("*.html")}
    marks = {path: set(re.findall(r'\bid="([^"]+)"', html)) for path, html in text.items()}
    wrong, count = [], 0
    for path, html in text.items():
        for target in set(re.findall(r'<(?:a|img|link|script)\b[^>]*?\b(?:href|src)="([^"]+)"',
                                     html)):
            if re.match(r"https?:|data:", target):
                continue
            count += 1
            name, _, mark = unquote(target).partition("#")
            there = (path.parent / name.partition("?")[0]).resolve() if name else path
            if not there.exists() or mark and there in marks and mark not in marks[there]:
                wrong.append(f"{path.relative_to(book)}: {target}")
    assert wrong == [] and count > 1000


def test_named_files_are_links(book):
    html = (book / "traps.html").read_text()
    assert re.search(r'href="source/trap/entry\.S\.html"[^>]*><code', html)
    html = (book / "tour.html").read_text()
    line = re.search(r'href="source/kern/provoke/exhaust\.c\.html#L-(\d+)"[^>]*><code', html)[1]
    source = (guest.TOP / "kern/provoke/exhaust.c").read_text().splitlines()
    assert "uint64 recurse(uint64 n)" in source[int(line) - 1]
    assert f'id="L-{line}"' in (book / "source/kern/provoke/exhaust.c.html").read_text()


# --- the pictures --------------------------------------------------------------------------------

def test_pictures_are_these_of_this_kernel(tmp_path):
    """Made again they are the same; under another compiler all but numbers and lines is."""
    made_by = re.compile(r"Made by\s(\S+\s[\d.]+)")

    def words(text):
        text = re.sub(r"<[^>]*>", " ", made_by.sub("", text))
        return re.sub(r"\b(0x)?[0-9a-f]*\d[0-9a-f]*\b", "#", text).split()

    other = guest.chosen("KSTACK_GROW", "LOCKDEP")  # with what this kernel was made stays as it is
    make("pictures", f"OUT={tmp_path}", f"BUILD={os.environ.get('BUILD', 'build')}", *other,
         *guest.chosen("CROSS", "LLVM", "HOSTCC", "QEMU", "PYTHON"))
    assert sorted(p.name for p in tmp_path.iterdir()) == [p.name for p in PICTURES]
    for old in PICTURES:
        was, now = old.read_text(), (tmp_path / old.name).read_text()
        if other or made_by.findall(was) != made_by.findall(now):
            was, now = words(was), words(now)
        assert was == now, f"{old.name} is not of this kernel; please run: make pictures"


def test_pictures_are_shown(book):
    """Each on a page, with words for who does not see it."""
    text = "\n".join(page.read_text() for page in PAGES)
    for picture in PICTURES:
        shown = re.search(rf"!\[([^]]+)\]\([\w/.]*pictures/{picture.name}\)", text)
        assert shown and len(shown[1]) > 80, f"no page shows {picture.name}, and says what it is"
        assert (book / "_images" / picture.name).read_bytes() == picture.read_bytes()
        root = ElementTree.parse(picture).getroot()
        for part in "title", "desc":
            assert root.find(f"{{http://www.w3.org/2000/svg}}{part}").text


# --- in a browser --------------------------------------------------------------------------------

def why_no_browser():
    """Return what is missing where no package of it is known, else nothing: then it must be there.

    In CI it must be there, too."""
    found = {"chromium": shutil.which("chromium") or shutil.which("chromium-browser"),
             "chromedriver": shutil.which("chromedriver"),
             "selenium": importlib.util.find_spec("selenium")}
    missing = [name for name, there in found.items() if not there]
    if not missing or os.environ.get("CI") == "true":
        return ""
    everything = subprocess.run([guest.TOP / "test/tools/doctor", "--all"], text=True, check=False,
                                stdout=subprocess.PIPE).stdout
    return "" if "chromium" in everything else f"no {', no '.join(missing)} for this system"


@pytest.fixture(scope="session")
def browser():
    if why := why_no_browser():
        pytest.skip(why)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser")
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--disable-background-networking", "--disable-extensions", "--no-first-run"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
    driver.set_page_load_timeout(PATIENCE)
    yield driver
    driver.quit()


def set_width(browser, width):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False})


# Whether the page is wider than the window, and the pictures that are not there.
LOOK = """const page = document.documentElement;
return [page.scrollWidth > page.clientWidth,
  [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)]"""


@pytest.mark.long
def test_pages_fit(browser, book):
    """On a phone and at a desk nothing sticks out, and the browser complains of nothing."""
    names = [*(name_of(page) for page in PAGES), "index", "search", "source/trap/entry.S",
             "source/vm/layout.h"]
    for name in names:
        browser.get((book / f"{name}.html").as_uri())
        for width in WIDTHS:
            set_width(browser, width)
            assert browser.execute_script(LOOK) == [False, []], f"{name}.html, {width} wide"
        said = [entry["message"] for entry in browser.get_log("browser")]
        assert said == [], f"{name}.html"


def test_search(browser, book):
    """It finds what it should without a server."""
    from selenium.webdriver.support.ui import WebDriverWait

    def found(browser):
        links = browser.execute_script(
            "return [...document.querySelectorAll('#search-results li a')].map(a => a.href)")
        return {link.split("/")[-1].partition(".html")[0] for link in links}

    browser.get(f"{(book / 'search.html').as_uri()}?q=emergency+stack")
    WebDriverWait(browser, PATIENCE).until(lambda b: {"traps", "survival", "tour"} <= found(b))
    browser.get(f"{(book / 'search.html').as_uri()}?q=zzyzx")
    assert found(browser) == set()


# Labels that leave their box or the picture, or lie on each other; and those too faint to read.
MEASURE = r"""
const all = [...document.querySelectorAll('text')], rects = [...document.querySelectorAll('rect')];
const page = document.documentElement.getBoundingClientRect(), wrong = [];
const at = e => e.getBoundingClientRect();
const inside = (a, b) => a.left >= b.left && a.right <= b.right && a.top >= b.top - 1 &&
  a.bottom <= b.bottom + 1;
const light = colour => {
  const [r, g, b] = colour.match(/\d+/g).map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
};
all.forEach((text, i) => {
  const a = at(text), box = text.closest('g.labelled');
  if (!inside(a, page) || box && !inside(a, at(box.querySelector('rect'))))
    wrong.push('sticks out: ' + text.textContent);
  for (const other of all.slice(i + 1)) {
    const b = at(other);
    if (a.left < b.right && b.left < a.right && a.top + 6 < b.bottom && b.top + 6 < a.bottom)
      wrong.push('overlap: ' + text.textContent + ' / ' + other.textContent);
  }
  const middle = {left: (a.left + a.right) / 2, top: (a.top + a.bottom) / 2};
  middle.right = middle.left; middle.bottom = middle.top;
  const under = rects.filter(r => r.compareDocumentPosition(text) & 4 && inside(middle, at(r)));
  const [x, y] = [text, under.pop()].map(e => light(getComputedStyle(e).fill));
  if (Math.max(x, y) / Math.min(x, y) < 4.5)
    wrong.push('faint: ' + text.textContent);
});
return [wrong, getComputedStyle(rects[0]).fill, all.length]"""


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_labels(browser, picture):
    """They fit, in the browser's own fonts, and can be read in light and dark."""
    set_width(browser, WIDTHS[1])
    pages = []
    for scheme in "light", "dark":
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})
        browser.get(picture.as_uri())
        wrong, page, count = browser.execute_script(MEASURE)
        assert wrong == [] and count > 20, scheme
        pages.append(page)
    assert pages[0] != pages[1]
