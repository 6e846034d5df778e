"""`choose` with 20 questions on one context against 20 full prompts with nothing reused, on the same model.

    python benchmarks/choose.py [--model PATH] [--threads N] [--json]

Prints times, their ratio (limit: at least 8), the largest difference of a log-probability (limit: 0.05), the engine's
rates and the process's peak memory. The full prompts go through the same engine, emptied before each. The exit status
is 1 if a limit is missed. Not covered: other processes, which on a small machine cost more than anything measured here.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from jointcoder.llm.base import Choice, Context, Question
from jointcoder.llm.engine import Run
from jointcoder.llm.llamacpp import LlamaCpp
from jointcoder.llm.load import OPTIONS_FILE
from jointcoder.llm.options import load_options
from jointcoder.settings import Settings

RATIO, DIFFERENCE = 8.0, 0.05
CONTEXT_TOKENS = 8192
STREAMS = (1, 8, 16)
STEPS = 12

NOTE = """Discharge summary. Reason for admission: a 72-year-old woman was brought in by her daughter with four days of
fever, a cough with yellow sputum and increasing shortness of breath. She had stopped eating two days earlier.

History. Type 2 diabetes for eighteen years, treated with metformin and, for the last two years, with insulin glargine
at night. Arterial hypertension. Chronic kidney disease, stage 3a, attributed to the diabetes. Osteoarthritis of both
knees. Cholecystectomy in 1998. She stopped smoking twenty years ago after about twenty-five pack-years and drinks no
alcohol. Her mother died of breast cancer. No known allergies. She lives alone on the second floor and walks with a
stick. Medicines on admission: metformin, insulin glargine, lisinopril, amlodipine and paracetamol when needed.

Examination. Temperature 38.9, pulse 112 and regular, blood pressure 104/58, respiratory rate 26, oxygen saturation 88
per cent on room air. Drowsy but orientated. Bronchial breathing and crackles over the right lower zone. No neck
stiffness. Abdomen soft. No swelling of the legs. A superficial pressure sore, three centimetres across, over the
sacrum with loss of the outer skin only.

Investigations. White cells 17.4 with 89 per cent neutrophils, haemoglobin 10.6, platelets 241. C-reactive protein 214.
Creatinine 2.1 against a usual value of 1.3, urea 68, sodium 131, potassium 4.9, glucose 312, lactate 1.8. The chest
film showed consolidation of the right lower lobe with a small effusion. Blood cultures grew Streptococcus pneumoniae in
one of two bottles, sensitive to penicillin. The urinary antigen for Legionella was negative. The electrocardiogram on
admission showed sinus tachycardia without signs of ischaemia. Troponin was not raised. Ultrasound of the kidneys showed
no obstruction.

Course. She was treated with oxygen by mask, fluids, ceftriaxone and azithromycin; after the culture result the
treatment was narrowed to benzylpenicillin. The rise of creatinine was judged to be an acute kidney injury from volume
depletion on top of the chronic disease; metformin and lisinopril were withheld and creatinine came down to 1.4 by day
six. Glucose was controlled with an insulin infusion for thirty-six hours and then with glargine and short-acting
insulin. On the second night she developed atrial fibrillation with a rate of 150, new to her, without chest pain. The
rate was controlled with metoprolol and sinus rhythm returned after eleven hours. Echocardiography showed a normal left
ventricle and a slightly enlarged left atrium. Apixaban was begun after discussion with her and her daughter. On day
three the effusion had grown, and 450 millilitres of clear fluid were drained from the right pleural space with a needle
under ultrasound; the fluid was sterile and its acidity normal. Because the lower lobe cleared slowly, a flexible
bronchoscopy with lavage was done on day seven. There was no tumour and no foreign body; the cytology showed no
malignant cells. The sore was dressed daily and was healing at discharge. She was seen by the physiotherapists daily.
There was no fall and no delirium. She was discharged home on day ten, walking with a frame, with visits by a nurse.
"""
ASKED = (
    "pneumonia", "a fracture of the hip", "type 2 diabetes", "asthma", "acute kidney injury", "a stroke",
    "chronic kidney disease", "heart failure", "atrial fibrillation", "breast cancer of her own", "a pressure sore",
    "meningitis", "a pleural effusion", "a lung tumour", "hypertension", "a urinary tract infection",
    "bronchoscopy during this stay", "cholecystectomy during this stay", "pleural drainage during this stay",
    "dialysis during this stay",
)  # fmt: skip
QUESTIONS = [Question(f"Does the note report {what}? Answer yes or no.", ("yes", "no")) for what in ASKED]
RECORD = Context(f"Clinical record:\n\n{NOTE}\n---\n", "You are an experienced clinical coder.")


def one_at_a_time(model: LlamaCpp) -> tuple[list[Choice], float]:
    """Every question its own full prompt: the engine is emptied before each."""
    choices: list[Choice] = []
    began = time.perf_counter()
    for question in QUESTIONS:
        model._prefixes.forget()
        choices += model.choose(RECORD, [question])
    return choices, time.perf_counter() - began


def together(model: LlamaCpp) -> tuple[list[Choice], float]:
    """All questions at once, beginning from an empty engine as well."""
    model._prefixes.forget()
    began = time.perf_counter()
    choices = model.choose(RECORD, QUESTIONS)
    return choices, time.perf_counter() - began


def rates(model: LlamaCpp) -> dict[str, float]:
    """Tokens a second: reading the context, and writing in 1, 8 and 16 branches of it."""
    engine = model._engine
    prefix = model._chat.prefix(RECORD)
    model._prefixes.forget()
    began = time.perf_counter()
    engine.prefill(0, 0, prefix)
    found = {"prefill": len(prefix) / (time.perf_counter() - began)}
    first = model.options.kept
    for streams in STREAMS:
        branches = range(first, first + streams)
        for branch in branches:
            engine.copy(0, branch, len(prefix))
        began = time.perf_counter()
        for step in range(STEPS):
            runs = [Run(branch, len(prefix) + step, prefix[step : step + 1], "last") for branch in branches]
            engine.decode(runs, fill=0, on_logits=lambda run, offset, row: None)
        found[f"decode ×{streams}"] = streams * STEPS / (time.perf_counter() - began)
        for branch in branches:
            engine.remove(branch)
    model._prefixes.forget()
    return found


def measure(path: Path, threads: int | None) -> dict[str, Any]:
    settings = Settings.load()
    options = load_options(settings.cache / OPTIONS_FILE, path)
    with LlamaCpp(path, context_tokens=CONTEXT_TOKENS, threads=threads, options=options) as model:
        model.choose(Context("Warm."), QUESTIONS[:2])  # the weights come into memory
        fast, fast_seconds = together(model)
        slow, slow_seconds = one_at_a_time(model)
        difference = max(
            abs(x - y) for a, b in zip(fast, slow, strict=True) for x, y in zip(a.logprobs, b.logprobs, strict=True)
        )
        tokens = fast[1].usage.reused_tokens
        speeds = rates(model)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {
        "model": path.stem,
        "options": model.options.label,
        "context_tokens": tokens,
        "questions": len(QUESTIONS),
        "seconds_together": round(fast_seconds, 2),
        "seconds_full_prompts": round(slow_seconds, 2),
        "ratio": round(slow_seconds / fast_seconds, 2),
        "max_difference": round(difference, 6),
        "tokens_per_second": {name: round(speed, 1) for name, speed in speeds.items()},
        "peak_rss_gib": round(peak, 2),
        "limits": {"ratio": RATIO, "max_difference": DIFFERENCE},
    }


def show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{found['model']}: {found['questions']} questions on {found['context_tokens']} tokens"
    table = Table("measured", "value", "limit", title=title, caption=found["options"])
    table.add_row("all together", f"{found['seconds_together']:.2f} s", "")
    table.add_row("20 full prompts", f"{found['seconds_full_prompts']:.2f} s", "")
    table.add_row("ratio", f"{found['ratio']:.1f}", f"≥ {RATIO:.0f}")
    table.add_row("largest |Δ log p|", f"{found['max_difference']:.4f}", f"≤ {DIFFERENCE}")
    for name, speed in found["tokens_per_second"].items():
        table.add_row(name, f"{speed:.1f} tokens/s", "")
    table.add_row(f"peak memory, context {CONTEXT_TOKENS}", f"{found['peak_rss_gib']:.2f} GiB", "")
    Console().print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, help="a GGUF file; default: the settings' model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    settings = Settings.load()
    found = measure(arguments.model or settings.models_dir / f"{settings.model}.gguf", arguments.threads)
    if arguments.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        show(found)
    return 0 if found["ratio"] >= RATIO and found["max_difference"] <= DIFFERENCE else 1


if __name__ == "__main__":
    sys.exit(main())
