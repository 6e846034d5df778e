"""The compliance oracle: `oracle.py` is the door, one module per kind of rule behind it."""

from jointcoder.codebook.rules.catalogue import Rule, integral_citation, is_integral, rules
from jointcoder.codebook.rules.oracle import Oracle, check, oracle
from jointcoder.codebook.rules.reading import Submitted, check_record, read_record

__all__ = [
    "Oracle",
    "Rule",
    "Submitted",
    "check",
    "check_record",
    "integral_citation",
    "is_integral",
    "oracle",
    "read_record",
    "rules",
]
