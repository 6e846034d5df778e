"""Workflows that design themselves: a search over plans, after MedDCR (Zheng et al., "Learning to Design Agentic
Workflows for Medical Coding").

    loop.py         the program on a page: propose, run, reflect, append; resumes; then finals.py decides
    session.py      a search as a command starts it                 conditions.py  what decides and bounds it

    space.py        what a plan may be made of: components, dials and their settings
    plan.py         a plan: idea, nodes, options; to a workflow and back
    grammar.py      the JSON in which a model writes it             join.py        makes its nodes join up
    mutate.py       single edits of a plan                          seeds.py       with what an archive begins

    designer.py     archive → a new plan                            coder.py       plan → a workflow that runs
    reflector.py    a critique, by step                             losses.py      where codes were lost
    prompting.py    their words, made to fit a context              view.py        the archive as they see it

    sets.py         notes to search on, to choose on, to test on    lab.py         a workflow on labelled notes
    nodes.py        results of nodes, kept by content               trying.py      one candidate, rung by rung
    score.py        F1 + λ₁·compliance − λ₂·cost                     halving.py     who goes on
    choice.py       who wins, and whether anybody does              accounts.py    what was spent and what spared
    report.py       one page about it                               charts.py      its pictures
    sandbox/        generated Python, where it can reach nothing

``prompts/`` and ``data/`` hold every word that a model reads. A search reads labelled notes and writes an archive
(:mod:`jointcoder.store`); it never changes the program, and nothing it finds is used on patients before a person has
approved it.
"""
