"""Component name → step class: the nine stages, the learned one and the twelve hierarchy tools, plus plug-ins.

Plug-ins come from the entry-point group ``jointcoder.steps``.
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from jointcoder.errors import WorkflowError, name_list
from jointcoder.steps.base import Step

BUILT_IN = {
    "read": "jointcoder.steps.read:Read",
    "extract": "jointcoder.steps.extract:Extract",
    "standardise": "jointcoder.steps.standardise:Standardise",
    "mine": "jointcoder.steps.mine:Mine",
    "prioritise": "jointcoder.steps.prioritise:Prioritise",
    "code_also": "jointcoder.steps.code_also:CodeAlso",
    "validate": "jointcoder.steps.validate:Validate",
    "learned": "jointcoder.steps.learned:Learned",
    "map_codes": "jointcoder.steps.map_codes:MapCodes",
    "reconcile": "jointcoder.steps.reconcile:Reconcile",
    # The hierarchy tools, under MedDCR's names.
    "load_taxonomy": "jointcoder.steps.wording:LoadTaxonomy",
    "text_to_codes": "jointcoder.steps.wording:TextToCodes",
    "code_to_text": "jointcoder.steps.wording:CodeToText",
    "get_parent": "jointcoder.steps.walk:GetParent",
    "get_ancestors": "jointcoder.steps.walk:GetAncestors",
    "get_children": "jointcoder.steps.walk:GetChildren",
    "get_descendants": "jointcoder.steps.walk:GetDescendants",
    "is_ancestor": "jointcoder.steps.hierarchy:IsAncestor",
    "is_descendant": "jointcoder.steps.hierarchy:IsDescendant",
    "get_nearest_common_ancestor": "jointcoder.steps.hierarchy:GetNearestCommonAncestor",
    "is_leaf": "jointcoder.steps.hierarchy:IsLeaf",
    "is_valid_code": "jointcoder.steps.hierarchy:IsValidCode",
}


def component_names() -> list[str]:
    """All known component names, sorted."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group="jointcoder.steps"))})


def component(name: str) -> type[Step]:
    """The step class of that name. Raises WorkflowError JC401 listing the known ones."""
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        found: Any = getattr(importlib.import_module(module), attribute)
    else:
        points = [point for point in entry_points(group="jointcoder.steps") if point.name == name]
        if not points:
            raise WorkflowError(
                "JC401",
                f"unknown component {name!r}",
                hint=f"known components: {name_list(component_names())}",
            )
        found = points[0].load()
    if not (isinstance(found, type) and issubclass(found, Step)):
        raise WorkflowError("JC401", f"component {name!r} is not a step")
    return found


def build(name: str, options: dict[str, Any]) -> Step:
    """A configured step. Raises WorkflowError JC401 (unknown) or JC407 (bad options, naming the known ones)."""
    step_class = component(name)
    try:
        return step_class(step_class.Options(**options))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        known = name_list(step_class.Options.model_fields)
        raise WorkflowError("JC407", f"{name}: {problems}", hint=f"options of {name}: {known}") from None
