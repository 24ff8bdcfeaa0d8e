"""The layout of run folders.

::

    runs/RUN/            a training: made beside its place and renamed in
        run.json         the record (`training.record.RunRecord`); plan.json, trials.parquet, … beside it
        code.diff        uncommitted changes of the code, where there were any
        labels.json      tags and note (`Labels`); the only file that changes later, by an atomic replacement

    runs/RUN/            the user's own code (`start_run`, `job`, `tune`): in its place from the first moment
        job.json         what is known at the start (`jobs.folder`), written before anything else
        log.jsonl        a line for each thing logged, appended by one write each; a torn last line is no line
        artifacts/       files, each written beside its place and renamed in
        labels.json, code.diff

A reader takes whole lines and whole files only, so a killed run is readable at any moment.
"""

from __future__ import annotations

RECORD = "run.json"
JOB = "job.json"
LOG = "log.jsonl"
ARTIFACTS = "artifacts"
