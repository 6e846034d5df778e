"""Every error a user can meet, with a stable code.

    JointCoderError                 exit  1
    ├── UsageError      JC0xx       exit  2   the command or option is wrong
    ├── InputError      JC1xx       exit  4   the record or file is wrong
    ├── AssetError      JC2xx       exit  5   a model or code book is missing or damaged
    ├── ModelError      JC3xx       exit  1   the language model could not answer
    ├── WorkflowError   JC4xx       exit  2   a workflow is unknown or wired wrongly
    └── CodeBookError   JC5xx       exit  4   a code-book source or query is wrong

A message states the problem, its likely cause and the names that would have worked. It never holds note
text: messages go to logs. What happens inside one record and need not stop it becomes a
:class:`jointcoder.records.Flag` with the same codes.
"""

from __future__ import annotations

CATALOGUE: dict[str, str] = {
    "JC001": "unknown option value",
    "JC002": "an optional component is not installed",
    "JC003": "the training recipe is invalid",
    "JC101": "the input holds no text",
    "JC102": "the input is not text",
    "JC103": "the encounter holds an unknown field",
    "JC104": "the input is not valid JSON or JSON lines",
    "JC105": "the language is not supported",
    "JC106": "the text encoding could not be determined",
    "JC107": "the input file cannot be read",
    "JC108": "a field of the encounter has an invalid value",
    "JC109": "the text was decoded from an encoding other than UTF-8",
    "JC110": "a part of the record exceeds the context limit",
    "JC111": "the record was split into parts to fit the context limit",
    "JC112": "text in several languages; coded in the dominant one",
    "JC113": "the data yields no training examples",
    "JC114": "the coded records are too few or too uniform to learn from",
    "JC201": "the model file is missing",
    "JC202": "the file's hash differs from the manifest",
    "JC203": "the code book is missing",
    "JC204": "no source of the asset could be fetched",
    "JC205": "the asset could not be written",
    "JC206": "unknown model or code-book name",
    "JC207": "the code book is damaged or of another version",
    "JC208": "the manifest is invalid",
    "JC209": "the file is not a whole GGUF file",
    "JC210": "the adapter does not fit its base model",
    "JC211": "a learned pack, or what it needs, is missing",
    "JC212": "the learned pack is damaged or of another format",
    "JC213": "unknown pack or part of a pack",
    "JC214": "training examples or a checkpoint are missing",
    "JC215": "the extra for training is not installed",
    "JC221": "the folder holds no LoRA adapter of peft",
    "JC222": "the adapter cannot be written for the engine",
    "JC223": "no such version of the adapter",
    "JC224": "the adapter may not be published",
    "JC225": "the adapter does worse than the one in force",
    "JC226": "the figures are not those of this adapter",
    "JC301": "the engine could not load the model",
    "JC302": "the model's structured output stayed invalid after one repair",
    "JC303": "the engine is not installed",
    "JC304": "the request exceeds the model's context",
    "JC305": "the engine failed while decoding",
    "JC306": "the model's answer was cut at its token limit",
    "JC307": "the model server cannot be reached or does not answer in time",
    "JC308": "the model server refuses the request",
    "JC309": "the model server cannot do what the request needs",
    "JC310": "the model server lies outside the premises",
    "JC311": "not enough memory for the model",
    "JC312": "the engine does not answer as the trained model does",
    "JC401": "unknown workflow component",
    "JC402": "the workflow's steps do not join up",
    "JC403": "the workflow needs something that is absent",
    "JC404": "unknown workflow",
    "JC405": "a step broke its declaration",
    "JC406": "a step failed on this record",
    "JC407": "the workflow file is invalid",
    "JC501": "unknown code",
    "JC502": "a code-book source is malformed",
    "JC503": "the code book does not hold the code system asked for",
    "JC504": "the code book is of another edition than the date asks for",
    "JC505": "the code is a heading that the training data code; it is not billable",
    "JC601": "a mention found no code and was left uncoded",
    "JC602": "evidence could not be located in the text",
    "JC603": "no code was assigned",
    "JC604": "no principal diagnosis could be determined",
    "JC605": "the model was unsure; a coder should look",
    "JC901": "interrupted",
    "JC999": "unexpected failure",
}


class JointCoderError(Exception):
    """Base of all errors: ``code`` (a key of :data:`CATALOGUE`), ``message``, and ``hint`` (what to do)."""

    exit_code = 1

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        if code not in CATALOGUE:
            raise KeyError(f"error code {code} is not in the catalogue")
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.hint = hint


class UsageError(JointCoderError):
    """The command, option or argument is wrong."""

    exit_code = 2


class InputError(JointCoderError):
    """The record or file handed in is wrong; other records go on."""

    exit_code = 4


class AssetError(JointCoderError):
    """A model or code book is missing, damaged or could not be fetched."""

    exit_code = 5


class ModelError(JointCoderError):
    """The engine could not load or answer."""

    exit_code = 1


class WorkflowError(JointCoderError):
    """The workflow is unknown, invalid or lacks what it needs."""

    exit_code = 2


class CodeBookError(JointCoderError):
    """A code-book source or query is wrong."""

    exit_code = 4


def name_list(names: object, limit: int = 12) -> str:
    """``a, b, c`` for messages that list what would have worked."""
    items = sorted(str(name) for name in names)  # type: ignore[attr-defined]
    more = f", … ({len(items)} in all)" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more if items else "(none)"
