"""Stands for ``slicer.parameterNodeWrapper``: typed parameters over a true parameter node, tied to widgets.

Written after the behaviour of the real package: it stores in the same places of the node (so that scenes are read by
both), refuses the same values with the same kinds of error, and connects the same widget types to the same types.
"""

from .connectors import Decimals, GuiConnector, SingleStep, createGuiConnector
from .storage import (
    Choice,
    Default,
    Exclude,
    Maximum,
    Minimum,
    Validator,
    WithinRange,
)
from .wrapper import (
    SlicerParameterNamePropertyName,
    findChildWidgetForParameter,
    isParameterNodeWrapper,
    parameterNodeWrapper,
)

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Exclude",
    "GuiConnector",
    "Maximum",
    "Minimum",
    "SingleStep",
    "SlicerParameterNamePropertyName",
    "Validator",
    "WithinRange",
    "createGuiConnector",
    "findChildWidgetForParameter",
    "isParameterNodeWrapper",
    "parameterNodeWrapper",
]
