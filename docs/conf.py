# SPDX-License-Identifier: MIT
"""How Sphinx makes a book of these pages: `make book`.

The order of the pages is that of the tables in README.md and labs/README.md, so a page has one list
that names it.  A file of the tree that a page names in `...` becomes a link to a page that shows
that file, and `file:function` one to the line of the function.
"""

import re
from pathlib import Path

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name, guess_lexer_for_filename
from pygments.util import ClassNotFound

TOP = Path(__file__).resolve().parent.parent
SOURCES = ("boot", "trap", "kern", "vm", "user", "test", "Makefile", "kernel.ld", ".ci",
           ".devcontainer", ".vscode")
LEXERS = {"ld": "text", "patch": "diff", "pml": "c", "S": "gas", "h": "c", "mk": "make"}

project = "Bulwark"
author = copyright = "the authors of Bulwark"
root_doc = "README"
extensions = ["myst_parser"]
exclude_patterns = ["labs/*.patch"]
highlight_language = "none"
smartquotes = False
myst_heading_anchors = 3

# The theme that all others are made from: it needs no package of its own and runs no script of its
# own.  book.css gives it its look.
html_theme = "basic"
html_theme_options = {"globaltoc_includehidden": True, "globaltoc_maxdepth": 1}
html_sidebars = {"**": ["searchbox.html", "globaltoc.html"]}
html_title = html_short_title = "Bulwark"
html_static_path = ["book.css"]
html_css_files = ["book.css", ("dark.css", {"media": "(prefers-color-scheme: dark)"})]
html_copy_source = html_use_index = html_domain_indices = False
html_show_search_summary = False  # a browser fetches nothing from file://


def table_of_contents(app, docname, source):
    """Put a hidden table of contents at the end of a page that lists others: what its tables name.

    A line in ** above a table is the caption."""
    if docname not in (root_doc, "labs/README"):
        return
    caption, blocks = "", {}
    for line in source[0].splitlines():
        if match := re.fullmatch(r"\*\*(.*)\*\*", line):
            caption = match[1]
        if match := re.match(r"\| \[[^]]*\]\(([\w/.-]+)\.md\) \|", line):
            blocks.setdefault(caption, []).append(match[1])
    source[0] += "".join(
        "\n```{toctree}\n:hidden:\n" + f":caption: {caption}\n" * bool(caption) + "\n"
        + "\n".join(pages) + "\n```\n" for caption, pages in blocks.items())


def source_file(text):
    """Return the file that the text names and the line in it, or None."""
    name, _, function = text.partition(":")
    if name.split("/")[0] not in SOURCES or not (TOP / name).is_file():
        return None
    if not function:
        return name, 1
    mark = rf"^(?:{function}:|\w[^;=(\n]*\b{function}\(|static .*\b{function}\b)"
    match = re.search(mark, (TOP / name).read_text(), re.MULTILINE)
    return name, (TOP / name).read_text()[:match.start()].count("\n") + 1 if match else 1


def link_sources(app, doctree, docname):
    """Make a link of each file named, and remember it."""
    for literal in list(doctree.findall(nodes.literal)):
        found = source_file(literal.astext())
        if not found or isinstance(literal.parent, nodes.reference):
            continue
        name, line = found
        app.env.bulwark_sources.add(name)
        uri = app.builder.get_relative_uri(docname, f"source/{name}")
        link = nodes.reference("", "", internal=True, refuri=f"{uri}#L-{line}" * (line > 1) or uri)
        literal.replace_self(link)
        link += literal


def source_pages(app):
    """Give a page for each file that was named."""
    form = HtmlFormatter(linenos="inline", lineanchors="L", anchorlinenos=True)
    for name in sorted(app.env.bulwark_sources):
        text = (TOP / name).read_text()
        kind = LEXERS.get(name.rpartition(".")[2])
        try:
            lexer = get_lexer_by_name(kind) if kind else guess_lexer_for_filename(name, text)
        except ClassNotFound:
            lexer = get_lexer_by_name("python" if "python" in text.split("\n")[0] else "bash")
        body = f"<h1><code>{name}</code></h1>\n{highlight(text, lexer, form)}"
        yield f"source/{name}", {"title": name, "body": body, "sourcename": ""}, "page.html"


class Frame(nodes.General, nodes.Element):
    """A box that scrolls by itself what is wider than a phone."""

    @staticmethod
    def begin(writer, node):
        writer.body.append(f'<div class="{node["kind"]}" tabindex="0">\n')

    @staticmethod
    def end(writer, _):
        writer.body.append("</div>\n")


def frame_wide(_app, doctree, _docname):
    """Put tables and pictures into frames."""
    for kind, wide in ("table", nodes.table), ("picture", nodes.image):
        for node in list(doctree.findall(wide)):
            frame = Frame(kind=kind)
            node.replace_self(frame)
            frame += node


def begin(app):
    """Nothing has been named yet.  Code in dark has colours of its own."""
    app.env.bulwark_sources = set()
    (Path(app.outdir) / "_static").mkdir(parents=True, exist_ok=True)
    style = HtmlFormatter(style="monokai").get_style_defs(".highlight")
    (Path(app.outdir) / "_static/dark.css").write_text(style)


def first_page(app, exception):
    """A browser that opens a folder looks for index.html."""
    out = Path(app.outdir)
    if not exception:
        (out / "index.html").write_text((out / "README.html").read_text())


def setup(app):
    app.add_node(Frame, html=(Frame.begin, Frame.end))
    app.connect("builder-inited", begin)
    app.connect("source-read", table_of_contents)
    app.connect("doctree-resolved", link_sources)
    app.connect("doctree-resolved", frame_wide)
    app.connect("html-collect-pages", source_pages)
    app.connect("build-finished", first_page)
