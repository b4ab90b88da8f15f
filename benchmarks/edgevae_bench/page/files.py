"""The report files of a benchmark: HTML, Markdown and CSV, each whole or absent."""

from __future__ import annotations

from pathlib import Path

from edgevae.files import write_atomically
from edgevae_bench.page.arrange import Samples, arrange
from edgevae_bench.page.view import Pictures
from edgevae_bench.result import Result


def write_reports(
    result: Result,
    samples: Samples,
    *,
    pictures: Pictures | None = None,
    html: Path | None = None,
    markdown: Path | None = None,
    csv: Path | None = None,
) -> None:
    """Write those files that have a path.

    Args:
        result: What was found.
        samples: Of the latencies, as `edgevae_bench.samples.by_row` gives them.
        pictures: Frames for the page's slider.
        html: The page; one file that loads nothing.
        markdown: The tables.
        csv: One table of all latencies.
    """
    if html is not None or markdown is not None:
        view = arrange(result, samples)
        if html is not None:
            from edgevae_bench.page.document import to_html  # needs jinja2 and Pillow

            write_atomically(html, to_html(view, pictures).encode())
        if markdown is not None:
            from edgevae_bench.page.markdown import to_markdown

            write_atomically(markdown, to_markdown(view).encode())
    if csv is not None:
        from edgevae_bench.page.csv_table import to_csv

        write_atomically(csv, to_csv(result).encode())
