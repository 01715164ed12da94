"""Checks as rows: the outcome by symbol, word and colour, the reason in short and on hover."""

import html

import qt

from slicer.i18n import tr as _

from ..Words import inPanel

# Bluish green, amber and vermilion (Okabe and Ito 2008), thin enough for black and for white text on top.
_COLOURS = {"pass": (0, 158, 115), "warn": (230, 159, 0), "refuse": (213, 94, 0)}
_ALPHA = 70
_SYMBOLS = {"pass": "✓", "warn": "!", "refuse": "✕"}
_ORDER = {"refuse": 0, "warn": 1, "pass": 2}
_MOST_ROWS_SHOWN = 6


def words(outcome):
    """Return an outcome in words."""
    return {"pass": _("passed"), "warn": _("warning"), "refuse": _("refused")}[outcome]


def showChecks(table, checks):
    """Fill a QTableWidget (outcome, check, why) with checks, the gravest first.

    :param checks: the engine's Check objects.
    """
    from OsteoScreenLib.reports.phrases import check_name

    ordered = sorted(checks, key=lambda check: _ORDER[check.outcome])
    table.setRowCount(len(ordered))
    for row, check in enumerate(ordered):
        name, message = check_name(check.check), inPanel(check.message)
        texts = (f"{_SYMBOLS[check.outcome]} {words(check.outcome)}", name, message)
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(toolTip(f"{name}, {words(check.outcome)}: {message}"))
            item.setBackground(qt.QBrush(qt.QColor(*_COLOURS[check.outcome], _ALPHA)))
            table.setItem(row, column, item)
    fitHeight(table, len(ordered))


def toolTip(text):
    """Return text for a tool tip: wrapped, and never taken as markup (it may come from a header)."""
    return f"<qt>{html.escape(text)}</qt>"


def fitHeight(table, rows):
    """Make a table as high as its first rows, and hide it where it has none."""
    for column in range(table.columnCount - 1):
        table.resizeColumnToContents(column)
    table.visible = rows > 0
    rowHeight = table.verticalHeader().defaultSectionSize
    header = table.horizontalHeader().height
    table.setFixedHeight(header + rowHeight * min(rows, _MOST_ROWS_SHOWN) + 6)


def summary(checks):
    """Return one sentence on checks: whether they let the CT be screened."""
    outcomes = [check.outcome for check in checks]
    refusals, warnings = outcomes.count("refuse"), outcomes.count("warn")
    if refusals:
        return _("✕ Not eligible: {count} of {total} checks refuse it.").format(count=refusals, total=len(outcomes))
    if warnings:
        return _("! Eligible, with {count} warnings of {total} checks.").format(count=warnings, total=len(outcomes))
    return _("✓ Eligible: all {total} checks of the scan passed.").format(total=len(outcomes))
