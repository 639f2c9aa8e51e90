"""One HTML page that carries everything it shows: no script, no font, no image from elsewhere."""

from __future__ import annotations

import base64
import io
import os
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from ._style import drawing

SHORT = 40  # characters; a longer cell breaks into lines, or it would push the other columns off the page
_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f8; color: #1b2430; line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-size: 16px; }
main { max-width: 1080px; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 2.5rem 0 0.75rem; padding-top: 1rem; border-top: 2px solid #1768ac; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 0.5rem; }
p { margin: 0.5rem 0; max-width: 75ch; }
.badge { display: inline-block; margin-left: 0.4rem; padding: 0.1rem 0.6rem; border-radius: 1rem; font-size: 0.85rem;
  font-weight: 600; background: #fdebdd; color: #9c3f05; border: 1px solid #eab78f; vertical-align: 0.1em; }
figure { margin: 0.75rem 0 1.25rem; padding: 0.75rem; background: #fff; border: 1px solid #dfe4ea; border-radius: 8px; }
.wide { overflow-x: auto; }
figure img { display: block; width: 100%; min-width: 640px; height: auto; }
figcaption { font-size: 0.9rem; color: #4a5563; padding-top: 0.5rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.6rem; text-align: right; border-bottom: 1px solid #e3e7ec; vertical-align: top; }
th { color: #4a5563; border-bottom: 2px solid #c6cdd6; vertical-align: bottom; }
th.left, td.left { text-align: left; }
@media (min-width: 760px) { .short { white-space: nowrap; } }
tbody tr:hover { background: #f4f6f8; }
nav ul { margin: 0.5rem 0; padding-left: 1.2rem; }
a { color: #1768ac; }
@media print { body { background: #fff; } figure { break-inside: avoid; } }
"""


class Page:
    """A page that grows from top to bottom; every text is escaped.

    ```python
    page = Page("Two neurons")
    page.section("Spikes")
    page.text("They fire in turn.")
    page.figure(figure, "Membrane currents.")
    page.write(Path("report.html"))
    ```
    """

    def __init__(self, title: str, language: str = "en") -> None:
        self._title = title
        self._language = language
        self._lead: list[str] = []
        self._body: list[str] = []
        self._sections: list[str] = []

    def section(self, heading: str, badge: str = "") -> None:
        """Begin a section; `badge` is a short remark that must not be overlooked."""
        self._sections.append(heading)
        mark = f' <span class="badge">{escape(badge)}</span>' if badge else ""
        self._body.append(f'<h2 id="s{len(self._sections)}">{escape(heading)}{mark}</h2>')

    def subsection(self, heading: str) -> None:
        """A heading within a section."""
        self._body.append(f"<h3>{escape(heading)}</h3>")

    def text(self, *paragraphs: str) -> None:
        """Paragraphs of plain text; before the first section they stand under the title."""
        into = self._body if self._sections else self._lead
        into += [f"<p>{escape(p)}</p>" for p in paragraphs]

    def figure(self, figure: Figure, caption: str, *, vector: bool = True, dpi: float = 150.0) -> None:
        """Show a figure as SVG, or, with many marks, as PNG at `dpi`. The caption is also its text for the blind."""
        kind, data = _image(figure, vector, dpi)
        source = f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
        words = escape(caption)
        self._body.append(
            f'<figure><div class="wide"><img alt="{words}" src="{source}"></div>'
            f"<figcaption>{words}</figcaption></figure>"
        )

    def table(
        self, header: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", *, left: Sequence[int] = (0,)
    ) -> None:
        """A table of text; the columns in `left` are aligned to the left, the others to the right.

        The first column and those of numbers keep to one line, unless what they hold is long.
        """
        whole = [c for c in range(len(header)) if c == 0 or c not in left]
        short = [c for c in whole if max((len(row[c]) for row in rows), default=0) <= SHORT]

        def line(cells: Sequence[str], tag: str) -> str:
            marks = ["left" * (i in left) + " short" * (i in short) for i in range(len(cells))]
            return "".join(
                f'<{tag} class="{mark.strip()}">{escape(cell)}</{tag}>' for mark, cell in zip(marks, cells, strict=True)
            )

        body = "".join(f"<tr>{line(row, 'td')}</tr>\n" for row in rows)
        words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
        self._body.append(
            f'<figure><div class="wide"><table><thead><tr>{line(header, "th")}</tr></thead>\n<tbody>{body}</tbody>'
            f"</table></div>{words}</figure>"
        )

    def html(self) -> str:
        """The whole page."""
        links = "".join(f'<li><a href="#s{i}">{escape(s)}</a></li>' for i, s in enumerate(self._sections, 1))
        contents = f"<nav><ul>{links}</ul></nav>" if len(self._sections) > 1 else ""
        lines = [
            "<!DOCTYPE html>",
            f'<html lang="{escape(self._language)}"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(self._title)}</title>",
            f"<style>{_STYLE}</style></head>",
            f"<body><main><h1>{escape(self._title)}</h1>",
            *self._lead,
            contents,
            *self._body,
            "</main></body></html>",
        ]
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> None:
        """Write the page whole or not at all."""
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(self.html())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _image(figure: Figure, vector: bool, dpi: float) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    with drawing():
        if vector:
            figure.savefig(buffer, format="svg", metadata={"Date": None}, dpi=dpi)
            return "image/svg+xml", buffer.getvalue()
        figure.savefig(buffer, format="png", metadata={"Software": None}, dpi=dpi)
    return "image/png", buffer.getvalue()
