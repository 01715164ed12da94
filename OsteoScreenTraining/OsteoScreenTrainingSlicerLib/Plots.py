"""Tables and plots in the scene: the learning curve, the BMD of a data set, ROC curves.

Each plot is a chart with a table and a series a line, found again by their names, so that a live curve is updated in
place.
"""

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk

import slicer

# Blue, orange, green, vermilion (Okabe and Ito 2008: they stay apart for the colour-blind).
_COLOURS = ((0.0, 0.447, 0.698), (0.902, 0.624, 0.0), (0.0, 0.62, 0.451), (0.835, 0.369, 0.0))


def showTable(name, columns):
    """Put columns {title: list of text or numbers} into the table node ``name``; return the node."""
    node = _named("vtkMRMLTableNode", name)
    with slicer.util.NodeModify(node):
        node.RemoveAllColumns()
        for title, values in columns.items():
            node.AddColumn(_column(title, values))
        node.SetUseColumnTitleAsColumnHeader(False)
    return node


def showLines(name, columns, x, titles, bars=False):
    """Plot columns of numbers against the column ``x``; return the chart node.

    :param columns: {title: list of numbers}, all of one length; NaN is left out of a line.
    :param titles: (of the chart, of the x axis, of the y axis).
    :param bars: draw bars instead of lines.
    """
    lines = {}
    for title in columns:
        if title != x:
            values = np.asarray(columns[title], dtype=float)
            known = np.isfinite(values)
            lines[title] = (np.asarray(columns[x], dtype=float)[known], values[known])
    return showCurves(name, lines, titles, bars)


def showCurves(name, lines, titles, bars=False):
    """Plot lines {title: (x values, y values)}, each of its own length; return the chart node."""
    kind = slicer.vtkMRMLPlotSeriesNode
    chart = _named("vtkMRMLPlotChartNode", name)
    known = {series.GetName(): series for series in _seriesOf(chart)}
    with slicer.util.NodeModify(chart):
        chart.RemoveAllPlotSeriesNodeIDs()
        for number, (title, (xs, ys)) in enumerate(lines.items()):
            table = showTable(f"{name}: {title}", {titles[1]: xs, title: ys})
            series = known.get(title) or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode")
            # The legend shows the names as they are, so that they are not made unique.
            series.SetName(title)
            series.SetAndObserveTableNodeID(table.GetID())
            series.SetXColumnName(titles[1])
            series.SetYColumnName(title)
            series.SetPlotType(kind.PlotTypeScatterBar if bars else kind.PlotTypeScatter)
            series.SetMarkerStyle(kind.MarkerStyleNone)
            series.SetColor(*_COLOURS[number % len(_COLOURS)])
            chart.AddAndObservePlotSeriesNodeID(series.GetID())
        chart.SetTitle(titles[0])
        chart.SetXAxisTitle(titles[1])
        chart.SetYAxisTitle(titles[2])
    return chart


def bring(chart):
    """Show a chart in a plot view, which has the window to itself: its legend would cover a small one."""
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpPlotView)
    applicationLogic = slicer.app.applicationLogic()
    applicationLogic.GetSelectionNode().SetActivePlotChartID(chart.GetID())
    applicationLogic.PropagatePlotChartSelection()


def rocCurve(truth, scores):
    """Return (false positive rate, true positive rate), each (n,), of scores (n,) for a truth (n,) bool.

    Equal scores are one step, so that the curve does not depend on the order of the subjects.
    """
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    truth, scores = np.asarray(truth, dtype=bool)[order], np.asarray(scores, dtype=float)[order]
    last = np.r_[np.flatnonzero(np.diff(scores)), len(scores) - 1]
    positives, negatives = np.cumsum(truth)[last], np.cumsum(~truth)[last]
    return np.r_[0, negatives / max(negatives[-1], 1)], np.r_[0, positives / max(positives[-1], 1)]


def _seriesOf(chart):
    return [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]


def _column(title, values):
    if len(values) and isinstance(values[0], str):
        column = vtk.vtkStringArray()
        for value in values:
            column.InsertNextValue(value)
    else:
        column = numpy_to_vtk(np.asarray(values, dtype=float), deep=True)
    column.SetName(title)
    return column


def _named(className, name):
    node = slicer.mrmlScene.GetFirstNode(name, className)
    return node if node is not None else slicer.mrmlScene.AddNewNodeByClass(className, name)
