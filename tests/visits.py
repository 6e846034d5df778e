"""A small US book of what visit notes name, and notes of our own invention: for tests of steps, packs and learning."""

from __future__ import annotations

from pathlib import Path

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.writer import Dated, Plan, write
from jointcoder.codebook.codes import normalise_code
from tests.codebook.ruled import CM, FIRST, LAST, drafts

LINES = """
# 2 | Neoplasms
C56 | Malignant neoplasm of ovary
C56.1 | Malignant neoplasm of right ovary
C56.2 | Malignant neoplasm of left ovary
C56.9 | Malignant neoplasm of unspecified ovary
# 4 | Endocrine diseases
E11.9 | Type 2 diabetes mellitus without complications
E28.39 | Other primary ovarian failure
E29.1 | Testicular hypofunction
# 9 | Circulatory system
I10 | Essential (primary) hypertension
I50.9 | Heart failure, unspecified
# 10 | Respiratory system
J45.909 | Unspecified asthma, uncomplicated
# 13 | Musculoskeletal system
M10.9 | Gout, unspecified
M25.561 | Pain in right knee
M54.9 | Dorsalgia, unspecified
M77.0 | Medial epicondylitis
M77.00 | Medial epicondylitis, unspecified elbow
M77.01 | Medial epicondylitis, right elbow
M77.02 | Medial epicondylitis, left elbow
# 6 | Nervous system
G43.909 | Migraine, unspecified, not intractable, without status migrainosus
G56.0 | Carpal tunnel syndrome
G56.00 | Carpal tunnel syndrome, unspecified upper limb
G56.01 | Carpal tunnel syndrome, right upper limb
G56.02 | Carpal tunnel syndrome, left upper limb
G56.03 | Carpal tunnel syndrome, bilateral upper limbs
G89.29 | Other chronic pain
# 18 | Symptoms
R05.9 | Cough, unspecified
R11.0 | Nausea
R51.9 | Headache, unspecified
# 19 | Injury
S83.511A | Sprain of anterior cruciate ligament of right knee, initial encounter
S93.401A | Sprain of unspecified ligament of right ankle, initial encounter
# 20 | External causes
V89.2XXA | Person injured in unspecified motor-vehicle accident, traffic, initial encounter
W00.0XXA | Fall on same level due to ice and snow, initial encounter
W18.30XA | Fall on same level, unspecified, initial encounter
Y93.67 | Activity, basketball
# 21 | Health status
Z87.39 | Personal history of other diseases of the musculoskeletal system and connective tissue
"""


WORDINGS = {
    "M54.9": ["Back pain"],
    "E28.39": ["Hypogonadism", "Ovarian hypogonadism"],
    "E29.1": ["Testicular hypogonadism"],
    "C56.9": ["Ovarian cancer"],
    "J45.909": ["Asthma"],
    "I50.9": ["Congestive heart failure"],
    "S93.401A": ["Right ankle sprain"],
    "R51.9": ["Headache"],
}
SEXED = {"female": ["E28.39", "C56.1", "C56.2", "C56.9"], "male": ["E29.1"]}


def visit_book(folder: Path) -> CodeBook:
    """The book above, written by the real writer."""
    entries = drafts(LINES, CM)
    for entry in entries:  # "Unspecified" is what a book's index leaves out; the wordings stand for its lines
        for wording in WORDINGS.get(entry.code, ()):
            entry.terms.append(("en", "inclusion", wording))
    edits = [Dated(CM, normalise_code(c), FIRST, LAST, flag) for flag, codes in SEXED.items() for c in codes]
    write(Plan("us-visits", "Visits 2026", "en", entries, [], (), edits), folder)
    return CodeBook.open(folder)


def visit(problems: str, story: str = "She is here for follow-up.", *, who: str = "41-year-old female") -> str:
    """A note of three sections: who came, the story, the assessment ordered by problems."""
    return (
        f"CHIEF COMPLAINT\n\nFollow-up.\n\nHISTORY OF PRESENT ILLNESS\n\nThe patient is a {who}. {story}\n\n"
        f"ASSESSMENT AND PLAN\n\n{problems}\n"
    )
