"""Learning without a language model: coded history → packs, in minutes on a CPU (extra ``learn``).

    folds.py    encounters → folds, so that nothing is scored by what it taught
    fit.py      rows of features → a calibrated Combiner and a threshold
    write.py    parts → a pack folder with its description
    mentions/terms/labels/drafts   one trainer a part
    pack.py     which parts the data can teach; trains, measures, writes

What comes out is read by :mod:`jointcoder.packs`, which needs none of scikit-learn.
"""
