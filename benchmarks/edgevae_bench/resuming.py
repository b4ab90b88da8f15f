"""A run that was broken off, taken up again: what it had found, if it was the same run."""

from __future__ import annotations

from dataclasses import replace

from edgevae.errors import IncompatibleError
from edgevae_bench import claims, document, samples
from edgevae_bench.environment import Environment
from edgevae_bench.ledger import Ledger
from edgevae_bench.result import Result


def resume(ledger: Ledger) -> Ledger:
    """Return the ledger with what an earlier run had found that was broken off; as it is where there is none.

    Raises:
        IncompatibleError: the file is something else, or a run of another setting.
    """
    assert ledger.output is not None, "there is something to go on with"
    if not ledger.output.exists():
        return ledger
    before = document.read_json(ledger.output)
    if before.is_complete:
        return ledger
    now = document.rounded(ledger.result(is_complete=False))
    for name in ("model", "clip", "settings"):
        if getattr(before, name) != getattr(now, name):
            raise IncompatibleError(
                f"{ledger.output}: is of another {name}; give the options of that run, or another --output"
            )
    if _machine(before.environment) != _machine(now.environment):
        raise IncompatibleError(
            f"{ledger.output}: was measured on another machine or with other versions; give another --output"
        )
    path = document.samples_path(ledger.output)
    if not path.exists() and not any(row.turns for row in before.subjects):
        return ledger  # broken off before the first turn
    taken = samples.take_up(path)
    found = replace(
        ledger,
        created_utc=before.created_utc,
        ceilings=before.ceilings,
        samples=taken,
        is_on_disk=True,
        notes=_notes(before, ledger.environment),
    )
    for row in before.subjects:
        found.rows[row.subject.name, row.case] = row
    for quality in before.quality:
        key = quality.subject, quality.case
        found.quality[key] = (*found.quality.get(key, ()), quality)
    for energy in before.energy:
        key = energy.subject, energy.work.case
        found.energy[key] = (*found.energy.get(key, ()), energy)
    return found


def _notes(before: Result, now: Environment) -> list[str]:
    """Return what an earlier run noted of clip and ceilings, and what was doubtful about its beginning."""
    then = before.environment
    doubts = claims.warnings(
        replace(then, load_average_1min=None),
        before.subjects,
        before.latency,
        clip=before.clip,
        percentile=before.settings.percentile,
    )
    notes = [text for text in before.warnings if text not in doubts]
    if (then.git_commit, then.git_modified) != (now.git_commit, now.git_modified):
        notes.append(f"begun at commit {then.git_commit}, gone on with at {now.git_commit}")
    return notes


def _machine(environment: Environment) -> Environment:
    """Return an environment without what changes from run to run and makes no figure another."""
    return replace(environment, load_average_1min=None, git_commit=None, git_modified=None)
