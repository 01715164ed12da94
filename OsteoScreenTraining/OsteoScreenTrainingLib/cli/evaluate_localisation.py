"""``osteoscreen evaluate localisation``: simulated trunks of a kind not trained on, and real CT."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..evaluation.localisation import CaseScore
    from ..evaluation.localisation_cases import LocalisationCase

#: Simulated trunks that are drawn whatever comes of them; others are drawn where a level is wrong.
_DRAWN = 6


def evaluate_localisation(arguments: argparse.Namespace) -> int:
    """Score, write the files and print the summary; return the exit code.

    ``--data`` are folders of real CT; ``--most`` is how many simulated trunks are added.
    """
    from tqdm import tqdm

    from OsteoScreenLib.localisation.localiser import Localiser
    from OsteoScreenLib.models import load_bundle

    from ..evaluation import SCHEMA
    from ..evaluation.localisation import score_case, summarise
    from ..evaluation.localisation_report import write_json, write_tables

    bundle = load_bundle(arguments.model, "localisation")
    localiser = Localiser(bundle, arguments.device)
    arguments.output.mkdir(parents=True, exist_ok=True)
    scores: list[CaseScore] = []
    for number, case in enumerate(tqdm(_cases(arguments), unit="scan", leave=False)):
        score = score_case(localiser, case)
        scores.append(score)
        wrong = any(level.outcome in ("wrong name", "off") for level in score.levels)
        if case.kind == "real" or wrong or number < _DRAWN + len(arguments.data):
            _draw(arguments, localiser, case)
        # After every scan: a stopped evaluation leaves what it has found.
        write_tables(arguments.output, scores)
    kinds = {kind: [score for score in scores if score.kind == kind] for kind in ("real", "simulated")}
    summary: dict[str, Any] = {
        "schema": SCHEMA,
        "task": "localisation",
        "bundle": f"{bundle.name} {bundle.version}",
        "sha256": bundle.sha256,
        "temperature": localiser.temperature,
        **{kind: summarise(own) for kind, own in kinds.items() if own},
    }
    write_json(arguments.output / "summary.json", summary)
    _print(kinds, summary)
    return 0


def _cases(arguments: argparse.Namespace) -> Iterator[LocalisationCase]:
    from ..evaluation.localisation_cases import real_cases, simulated_case

    for folder in arguments.data:
        yield from real_cases(folder)
    for index in range(arguments.most):
        yield simulated_case(index)


def _draw(arguments: argparse.Namespace, localiser: Any, case: LocalisationCase) -> None:
    from OsteoScreenLib.localisation.localiser import name_spine, see_spine
    from OsteoScreenLib.localisation.resample import read_trunk

    from ..evaluation.localisation_report import draw_spine

    evidence = localiser.network.look(read_trunk(case.ct, localiser.network.grid_mm))
    spine = name_spine(see_spine(evidence), localiser.temperature)
    draw_spine(evidence, spine, case.vertebrae).save(arguments.output / f"{case.name.replace(' ', '-')}.png")


def _print(kinds: dict[str, list[CaseScore]], summary: dict[str, Any]) -> None:
    for score in kinds["real"]:
        known = ", ".join(
            f"{v.truth} -> {v.found} ({v.probability:.2f}, {v.along_mm:.1f} mm)" if v.along_mm is not None
            else f"{v.truth} not found"
            for v in score.vertebrae
        )  # fmt: skip
        said = " ".join(f"{level.level}: {level.outcome}." for level in score.levels)
        print(f"{score.case}: {known or 'nothing known'}. Names {' '.join(score.names) or 'none'}. {said}")
        if score.abstains:
            print(f"  abstains: {score.abstains}")
    for group, found in summary.get("simulated", {}).items():
        _print_group(group, found)


def _print_group(group: str, found: dict[str, Any]) -> None:
    def percent(share: float | None) -> str:
        return "-" if share is None else f"{100 * share:.1f} %"

    distance, along = (found[name] or {"median": 0.0, "p95": 0.0} for name in ("distance_mm", "along_mm"))
    print(
        f"{group}: {found['scans']} trunks, {found['abstained']} abstained; {found['not_found']} of "
        f"{found['vertebrae']} vertebrae not found, {found['spurious']} spurious; distance median "
        f"{distance['median']:.1f}, p95 {distance['p95']:.1f} mm (along {along['median']:.1f}, {along['p95']:.1f}); "
        f"right {percent(found['right'])}, of {found['confident']} confident {percent(found['confident_right'])} "
        f"(ambiguous ones allowed {percent(found['confident_right_or_ambiguous'])}); levels "
        + ", ".join(f"{outcome} {count}" for outcome, count in found["levels"].items())
    )
