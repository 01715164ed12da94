"""A bundle's card in Markdown, from its description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bundle import Bundle

#: What the keys of ``training`` that every bundle has are called on the card; the others keep their names.
_KIND_WORDS = {
    "simulated": "simulated images",
    "real": "real images",
    "mixed": "simulated and real images",
    "none": "no images (untrained)",
}


def card(bundle: Bundle) -> str:
    """Return the card of a bundle as Markdown."""
    description = bundle.description
    lines = [f"# {bundle.name} {bundle.version}", ""]
    if description.get("description"):
        lines += [description["description"], ""]
    if description.get("intended_use"):
        lines += [f"Intended use: {description['intended_use']}", ""]
    lines += [
        f"- Role: {bundle.role}",
        f"- Architecture: {bundle.architecture['name']} ({_inline(bundle.architecture['parameters']) or 'defaults'})",
        f"- Preprocessing: {_inline(bundle.preprocessing)}",
        f"- Classes: {', '.join(bundle.classes)}",
        f"- Licence: {description['licence']}",
        f"- SHA-256 of the weights: {bundle.sha256}",
        "",
        "## Training",
        "",
        f"Trained on {_KIND_WORDS[description['training']['kind']]}: {description['training']['data']}",
        "",
    ]
    details = {key: value for key, value in description["training"].items() if key not in ("data", "kind")}
    lines += [f"- {key}: {_text(value)}" for key, value in details.items()] + ([""] if details else [])
    lines += ["## Metrics", "", *_metrics(description["metrics"]), ""]
    if description.get("commands"):
        lines += ["What repeats them:", "", "```", *description["commands"], "```", ""]
    lines += ["Research use only: not a medical device, and its results are not a diagnosis.", ""]
    return "\n".join(lines)


def _metrics(metrics: list[dict[str, Any]]) -> list[str]:
    if not metrics:
        return ["None measured."]
    rows = [
        f"| {_cell(metric['name'])} | {metric['value']:g} | {metric.get('n', '')} | {_cell(metric['data'])} "
        f"| {metric['kind']} |"
        for metric in metrics
    ]
    return ["| metric | value | n | measured on | kind |", "| --- | --- | --- | --- | --- |", *rows]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _inline(values: dict[str, Any]) -> str:
    return "; ".join(f"{key} {_text(value)}" for key, value in values.items())


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
