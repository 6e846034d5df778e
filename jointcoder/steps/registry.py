"""Component name → step class: the stages, the learned one, the components of agentic workflows and the twelve
hierarchy tools, plus plug-ins.

    signatures()                    every component with its slots and options, for people, searches and grammars
    build("vote", {"least": 0.5})   a configured step; its ``reads`` and ``writes`` are those of these options

Plug-ins come from the entry-point group ``jointcoder.steps``: name → a subclass of :class:`Step`. A name that is built
in cannot be taken by one.
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from jointcoder.errors import WorkflowError, name_list
from jointcoder.steps.base import Step
from jointcoder.steps.literals import code_literals
from jointcoder.steps.signatures import Signature, describe

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
    # Components of agentic workflows: propose names, look them up, judge what was found.
    "propose": "jointcoder.steps.propose:Propose",
    "medical_term_extraction": "jointcoder.steps.medical_term_extraction:MedicalTermExtraction",
    "desc_match": "jointcoder.steps.desc_match:DescMatch",
    "debate": "jointcoder.steps.debate:Debate",
    "tabular_index_search": "jointcoder.steps.tabular_index_search:TabularIndexSearch",
    "select": "jointcoder.steps.select:Select",
    "vote": "jointcoder.steps.vote:Vote",
    "guideline_validator": "jointcoder.steps.guideline_validator:GuidelineValidator",
    "evidence_linker": "jointcoder.steps.evidence_linker:EvidenceLinker",
    "judge": "jointcoder.steps.judge:Judge",
    "critique": "jointcoder.steps.critique:Critique",
    "revise": "jointcoder.steps.revise:Revise",
    "screen": "jointcoder.steps.screen:Screen",
    "rerank": "jointcoder.steps.rerank:Rerank",
    "llm": "jointcoder.steps.llm:LLM",
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
ALIASES = {
    "reconciler": "reconcile",
    # As MedDCR spells them.
    "MedicalTermExtraction": "medical_term_extraction",
    "TabularIndexSearch": "tabular_index_search",
    "DescMatch": "desc_match",
    "GuidelineValidator": "guideline_validator",
    "Reconciler": "reconcile",
    "EvidenceLinker": "evidence_linker",
    "Judge": "judge",
    "LLMAgentBase": "llm",
}


def component_names() -> list[str]:
    """All known component names, sorted; aliases left out."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group="jointcoder.steps"))})


def signatures() -> list[Signature]:
    """What every component is, reads, writes and takes: built-in ones in the order of :data:`BUILT_IN`, then plug-ins.

    A search shows them to the model that designs workflows and draws mutations from the options' bounds; the names and
    fields are stable. WorkflowError JC401 where a plug-in cannot be loaded.
    """
    names = [*BUILT_IN, *(name for name in component_names() if name not in BUILT_IN)]
    aliases = {name: tuple(alias for alias, meant in ALIASES.items() if meant == name) for name in names}
    return [describe(component(name), name=name, aliases=aliases[name]) for name in names]


def component(name: str) -> type[Step]:
    """The step class of that name or alias. Raises WorkflowError JC401 listing the known ones, or where a plug-in
    cannot be loaded."""
    name = ALIASES.get(name, name)
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
        try:
            found = points[0].load()
        except Exception as error:  # a plug-in is not ours: whatever it raises, the workflow cannot use it
            message = f"plug-in component {name!r} cannot be loaded ({type(error).__name__})"
            raise WorkflowError("JC401", message, hint=f"it is {points[0].value}") from None
    if not (isinstance(found, type) and issubclass(found, Step)):
        raise WorkflowError("JC401", f"component {name!r} is not a step")
    return found


def build(name: str, options: dict[str, Any]) -> Step:
    """A configured step. Raises WorkflowError JC401 (unknown), JC407 (bad options, naming the known ones), or JC420
    where an option that the model is shown holds a code."""
    step_class = component(name)
    try:
        step = step_class(step_class.Options(**options))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        known = name_list(step_class.Options.model_fields)
        raise WorkflowError("JC407", f"{name}: {problems}", hint=f"options of {name}: {known}") from None
    if held := [code for text in step.options.worded() for code in code_literals(text)]:
        message = f"{name}: what the model is told holds codes: {name_list(held)}"
        raise WorkflowError("JC420", message, hint="say in words what is meant; models never see or write codes")
    return step
