"""`python -m edgevae_bench.page RESULT.json`: the report files of a result that was measured before."""

from __future__ import annotations

from pathlib import Path

import click

from edgevae.errors import InputError
from edgevae_bench.module_command import run
from edgevae_bench.options import require_place
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

    wanted = (report, "--report", ".html"), (markdown, "--markdown", ".md"), (csv, "--csv", ".csv")
    for path, option, suffix in wanted:
        require_place(path, option, suffix=suffix)
    if not any(path for path, _, _ in wanted):
        raise InputError("page: got nothing to write, expected --report, --markdown or --csv")
    # Both files may have got another name since: the one that was written in may be another run's by now.
    found, taken = document.read_with_samples(result)
    write_reports(found, samples.by_row(taken), html=report, markdown=markdown, csv=csv)


if __name__ == "__main__":
    run(command, name="edgevae_bench.page")
