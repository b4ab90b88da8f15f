"""`python -m edgevae_bench.page RESULT.json`: the report files of a result that was measured before."""

from __future__ import annotations

from pathlib import Path

import click

from edgevae_bench.module_command import run
from edgevae_bench.page.options import report_options


@click.command()
@click.argument("result", type=click.Path(path_type=Path))
@report_options
def command(result: Path, report: Path | None, markdown: Path | None, csv: Path | None) -> None:
    """Write the report files of RESULT, the JSON document of a benchmark, with its samples beside it.

    A document has no frames of the clip: the page is without pictures.
    """
    from edgevae_bench import document, samples
    from edgevae_bench.page.files import write_reports

    found = document.read_json(result)
    rows = {}
    if found.samples_file is not None:
        rows = samples.by_row(samples.read(result.with_name(found.samples_file)))
    write_reports(found, rows, html=report, markdown=markdown, csv=csv)


if __name__ == "__main__":
    run(command, name="edgevae_bench.page")
