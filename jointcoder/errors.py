"""Every error a user can meet, with a stable code.

    JointCoderError                 exit  1
    ├── UsageError      JC0xx       exit  2   the command or option is wrong
    ├── InputError      JC1xx       exit  4   the record or file is wrong
    ├── AssetError      JC2xx       exit  5   a model or code book is missing or damaged
    ├── ModelError      JC3xx       exit  1   the language model could not answer
    ├── WorkflowError   JC4xx       exit  2   a workflow is unknown or wired wrongly
    ├── CodeBookError   JC5xx       exit  4   a code-book source or query is wrong
    ├── RunError        JC70x       exit  1   a batch cannot begin, go on or write
    └── AccessError     JC47x       exit  1   who asks the service may not, or not now

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
    "JC120": "the workbook or table cannot be read",
    "JC121": "the columns of the table could not be recognised",
    "JC122": "the mapping of columns is invalid",
    "JC123": "an id is missing or comes twice",
    "JC124": "a row does not fit its header",
    "JC125": "a date, age or sex could not be read and was left out",
    "JC126": "a cell holds an error of the spreadsheet program",
    "JC127": "a cell is as long as a spreadsheet allows; its text is probably cut",
    "JC128": "a code that came with the record could not be read",
    "JC129": "a sheet was left aside",
    "JC130": "the PDF is damaged or is none",
    "JC131": "the PDF is protected by a password",
    "JC132": "the document holds no pages",
    "JC133": "the image cannot be read",
    "JC134": "the image has too many pixels",
    "JC135": "a page is empty",
    "JC136": "lines of a page were recognised with little confidence",
    "JC137": "pages were read from their picture",
    "JC138": "running headers, footers, page numbers or slanted text were left out",
    "JC139": "a page, or a picture on a page, was not read",
    "JC140": "codes have no place in the layout; they went into the overflow",
    "JC141": "the input holds something else than coded records",
    "JC142": "the encounters given do not hold this record",
    "JC143": "characters that cannot be written were replaced",
    "JC144": "the front page has no main diagnosis",
    "JC145": "the record is coded in another edition than the layout takes",
    "JC146": "administrative fields have no column in the layout; they went into the overflow",
    "JC147": "a text is longer than a cell of a spreadsheet and was cut there",
    "JC148": "the export cannot be written",
    "JC150": "the text ended within a character; what was left of it was dropped",
    "JC151": "a line of the user dictionary is no word",
    "JC152": "a line of the table of abbreviations is malformed",
    "JC160": "the input is no FHIR resource that can be read",
    "JC161": "an element of a FHIR resource is malformed",
    "JC162": "the FHIR resources hold no document",
    "JC163": "a FHIR reference leads to nothing in what was given",
    "JC164": "an attachment cannot be read",
    "JC165": "the FHIR resource is not valid",
    "JC166": "there are no reviewed records",
    "JC180": "the Parquet file cannot be read",
    "JC181": "a column of the Parquet file is of a type that cannot be taken",
    "JC182": "the Parquet file holds no coded records of a known version",
    "JC170": "the input is no HL7 v2 message",
    "JC171": "the HL7 v2 message is torn or malformed",
    "JC172": "the version of HL7 is not read",
    "JC173": "HL7 v2 messages of this type are not read",
    "JC174": "the HL7 v2 messages hold no document",
    "JC175": "line breaks stood within fields of an HL7 v2 message",
    "JC176": "an HL7 v2 message points to a document that is not held",
    "JC177": "HL7 v2 messages of one visit number name two patients",
    "JC178": "the stay was cancelled",
    "JC179": "the HL7 v2 message would not be valid",
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
    "JC420": "a prompt of the workflow holds a code",
    "JC421": "the model wrote codes; they were left out",
    "JC422": "a list was shortened to fit the model's context",
    "JC423": "the picture of the workflow cannot be written",
    "JC424": "there is nothing to compare",
    "JC430": "the store cannot be opened, read or written",
    "JC431": "the store was made by a newer version of the program",
    "JC432": "no such search run or candidate",
    "JC433": "a search cannot go on under other conditions than it began with",
    "JC434": "search, selection and test sets share encounters",
    "JC435": "too few labelled encounters to search on",
    "JC436": "a plan is not valid",
    "JC437": "a plan or prompt holds a code",
    "JC438": "the workflow of a plan does not run",
    "JC439": "the designing model gave nothing that could be used",
    "JC440": "a prompt of the search does not fit the model's context",
    "JC441": "the workflow is not approved",
    "JC442": "there is no such approval",
    "JC443": "the exported archive cannot be read",
    "JC444": "another search is at work in this folder",
    "JC445": "the search cannot be written",
    "JC450": "generated Python cannot be isolated on this machine",
    "JC451": "the run does not allow generated Python",
    "JC452": "the generated Python is not valid or not the one declared",
    "JC453": "the generated Python took too long",
    "JC454": "the generated Python needed too much memory",
    "JC455": "the generated Python tried what it may not do",
    "JC456": "the generated Python gave something else than a result",
    "JC457": "the generated Python raised an exception",
    "JC458": "the generated Python misused a tool",
    "JC459": "the generated Python ended without a result",
    "JC460": "no such encounter, job or coded record",
    "JC461": "the record was changed meanwhile",
    "JC462": "somebody else has the encounter",
    "JC463": "the decision does not fit the record",
    "JC464": "the record is finished",
    "JC465": "the record cannot be finished yet",
    "JC466": "the idempotency key was used for something else",
    "JC467": "the queue takes nothing more at present",
    "JC468": "coding was given up",
    "JC469": "the query of the worklist is not valid",
    "JC470": "not signed in, or the key is not valid",
    "JC471": "the sign-in failed",
    "JC472": "the account's roles do not allow this",
    "JC473": "the request does not come from this service's own pages or address",
    "JC474": "locked for a while after failed sign-ins",
    "JC475": "too many requests",
    "JC476": "a service that others can reach needs accounts",
    "JC477": "the account or key cannot be made, changed or found",
    "JC478": "the audit log was tampered with",
    "JC479": "sealed text cannot be opened or sealed",
    "JC480": "there is nothing at this path",
    "JC481": "this path does not take the method",
    "JC482": "the request is too large",
    "JC483": "the media type of the request is not taken",
    "JC484": "a parameter of the request is not valid",
    "JC485": "a change must name the version it was made from",
    "JC486": "the service cannot listen at this address",
    "JC489": "the service is not ready",
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
    "JC610": "a listed diagnosis is only denied in the rest of the record",
    "JC611": "nothing outside its list supports the principal diagnosis",
    "JC612": "the state of an operation of this stay was left out",
    "JC613": "the hours or the number of a procedure are not told",
    "JC614": "a procedure that is not told was inferred from another one",
    "JC615": "no diagnosis of the record explains an operation",
    "JC700": "the run folder cannot be used",
    "JC701": "the run began under other conditions",
    "JC702": "another run is at work in this folder",
    "JC703": "a worker ended while it coded the record",
    "JC704": "the run folder cannot be written",
    "JC705": "the results of the run are damaged",
    "JC706": "the runs cannot be merged",
    "JC707": "more records failed than allowed",
    "JC708": "no worker could start",
    "JC709": "the data for calibration cannot be used",
    "JC710": "the watched folder cannot be used",
    "JC711": "the cluster cannot be used",
    "JC720": "the key of de-identification cannot be read or made",
    "JC721": "evidence lay within an identifier; its words were replaced",
    "JC722": "evidence that came with a record does not fit its text",
    "JC723": "a coded record belongs to none of the encounters",
    "JC724": "the text may still hold an identifier; a person should look",
    "JC725": "the run was begun by an earlier version, which noted fewer conditions; its records are coded anew",
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


class RunError(JointCoderError):
    """A batch cannot begin, go on or write; what it has written stays good."""


class AccessError(JointCoderError):
    """Who asks may not, or not now. ``retry_after``: seconds after which asking again has a chance."""

    def __init__(self, code: str, message: str, *, hint: str = "", retry_after: int | None = None) -> None:
        super().__init__(code, message, hint=hint)
        self.retry_after = retry_after


def name_list(names: object, limit: int = 12) -> str:
    """``a, b, c`` for messages that list what would have worked."""
    items = sorted(str(name) for name in names)  # type: ignore[attr-defined]
    more = f", … ({len(items)} in all)" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more if items else "(none)"
