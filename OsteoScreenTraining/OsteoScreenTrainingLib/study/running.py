"""A study from beginning to end: compute, tabulate, draw, and put everything on one page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from OsteoScreenLib import __version__
from OsteoScreenLib.progress import Progress, silent
from OsteoScreenLib.results_io import write_text_atomically

from ..paper import paper
from . import beside_tables, cohort_tables, model_tables, segmentation_tables
from .computing import StudyComputation, StudyRequest
from .drawing import StudyFigures
from .page import TABLES, PageTable, Section, StudyPage, write_page
from .results import StudyResults, gather
from .study_table import StudyTable

RESULTS = "results.json"


def run_study(request: StudyRequest, progress: Progress = silent) -> Path:
    """Run a study, or what is left of it, and return its page.

    The folder holds ``index.html``, ``tables/`` (CSV and JSON), ``figures/`` (PNG and SVG), ``results.json`` (all
    tables in one file), ``runs/`` (the networks, each with its bundle) and ``stages/`` (what has been computed).

    Raises:
        UsageError: the folder holds another study.
        InputError: the data set cannot be read, lacks a class in some part, or leaks between its parts.
    """
    study = StudyComputation(request, progress)
    results = gather(study)
    progress("Writing tables and figures", 0, 1)
    writer = _Writer(request.output)
    sections = _sections(study, results, writer, StudyFigures(results, request.output))
    write_text_atomically(json.dumps(writer.written, indent=1, allow_nan=False) + "\n", request.output / RESULTS)
    page = write_page(request.output, _page(study, results, sections))
    progress("Writing tables and figures", 1, 1)
    return page


class _Writer:
    """Writes tables and keeps what they hold for ``results.json``."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.written: dict[str, Any] = {}

    def __call__(self, *tables: StudyTable | None) -> list[PageTable]:
        shown = []
        for table in tables:
            if table is not None:
                shown.append(table.write(self.folder))
                written = self.folder / TABLES / f"{table.name}.json"
                self.written[table.name] = json.loads(written.read_text(encoding="utf-8"))
        return shown


def _sections(study: StudyComputation, results: StudyResults, write: _Writer, draw: StudyFigures) -> list[Section]:
    points = segmentation_tables.curve_points(results, study.request.seed)
    return [
        Section(
            "paper",
            "The paper and these results",
            [beside_tables.baseline_table(results).note],
            write(beside_tables.paper_table(results)),
        ),
        Section(
            "subjects",
            "Subjects",
            (),
            write(
                cohort_tables.flow_counts(results),
                cohort_tables.table_1(results),
                cohort_tables.table_2(results),
                cohort_tables.prevalence(results),
            ),
            [draw.flow(), draw.cohort()],
        ),
        Section(
            "segmentation",
            "Outlines of the vertebral bodies",
            (),
            write(segmentation_tables.learning_curve_table(points), segmentation_tables.segmentation_table(results)),
            [
                draw.learning_curve(points),
                draw.examples(study.bundle_of("dcnn"), study.bundle_of("unet"), study.request.device),
            ],
        ),
        Section(
            "classification",
            "Bone status",
            (),
            write(
                model_tables.table_3(results),
                model_tables.table_3(results, youden=True),
                model_tables.table_4(results),
                model_tables.overall_table(results),
                model_tables.calibration_table(results),
            ),
            [draw.roc(), draw.confusion(), draw.reliability(), draw.decision()],
        ),
        Section(
            "beside",
            "What a network has to be better than",
            (),
            write(
                beside_tables.baseline_table(results),
                beside_tables.hu_table(results),
                beside_tables.ceiling_table(results),
                model_tables.bmd_table(results),
            ),
            [draw.agreement()],
        ),
        Section(
            "comparisons",
            "Comparisons",
            (),
            write(
                model_tables.comparison_table(results),
                model_tables.scanner_table(results),
                model_tables.subgroup_table(results),
            ),
        ),
        Section("contradictions", "The paper's own numbers", (), write(beside_tables.contradictions_table())),
    ]


def _page(study: StudyComputation, results: StudyResults, sections: Sequence[Section]) -> StudyPage:
    header, request = results.data.header, study.request
    whose = "simulated subjects" if results.simulated else "subjects"
    networks = [("DCNN", results.network("dcnn").sha256), ("U-Net", results.network("unet").sha256)]
    networks += [(found.words, found.sha256) for found in results.classifiers.values()]
    return StudyPage(
        title="Bone status from chest CT: the study",
        subtitle=f"{len(results.inclusion.included)} {whose}, {study.profile.name} profile, {request.split} split",
        kind="simulated" if results.simulated else "real",
        facts=_facts(results),
        notices=_notices(study, results),
        sections=sections,
        provenance=[
            ("Study", paper().source),
            ("Data set", f"{header.kind}; {header.generator or 'no generator named'}; seed {header.seed}"),
            ("Command", _command(study)),
            ("OsteoScreen", __version__),
            *((f"Weights, {name}", sha256) for name, sha256 in networks),
        ],
    )


def _command(study: StudyComputation) -> str:
    request = study.request
    return f"osteoscreen study --profile {study.profile.name} --split {request.split} --seed {request.seed}"


def _facts(results: StudyResults) -> list[tuple[str, str]]:
    dsc = results.network("dcnn").column("dsc")
    facts = [("DSC of the DCNN", f"{dsc.mean():.3f} ± {dsc.std(ddof=1):.3f} on {len(dsc)} test slices")]
    for model, words in model_tables.WORDS.items():
        found = model_tables.score(results.classifiers[model], "test")
        aucs = [f"{status} {one.auc.value:.3f}" for status, one in found.classes.items() if one.auc is not None]
        facts.append((f"AUC of {words}", ", ".join(aucs)))
        facts.append((f"Accuracy of {words}", f"{found.overall.accuracy.value:.3f} of {found.n} test subjects"))
    return facts


def _notices(study: StudyComputation, results: StudyResults) -> list[str]:
    notices = []
    if results.simulated:
        notices.append(
            "Simulated subjects: there are no such people. What holds here holds for the simulation, and says how the "
            "method behaves when its assumptions are right; it is no evidence for patients."
        )
    if study.profile.name != "full":
        notices.append(
            f"The {study.profile.name} profile does not train as the paper did (500 rounds at 512 × 512); its numbers "
            "are not those of the full one."
        )
    missing = {name for found in results.classifiers.values() for name in found.without_outline}
    if missing:
        notices.append(f"{len(missing)} subjects have no outline on some slice and were not classified.")
    left_out = len(results.split.parts["test"]) - len(results.judged())
    if left_out:
        notices.append(f"{left_out} test subjects lack an answer or a measurement and are left out of the comparisons.")
    notices.append("Research use only: a screening aid for researchers, not DXA, and no diagnosis.")
    return notices
