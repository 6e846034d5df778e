"""What coders do with coded records, without any HTTP: queue, review, feedback, agreement.

coding.py      jobs: encounters → coder → records, surviving crashes      review.py      decisions, one by one
feedback.py    decisions → coded records to learn from                    agreement.py   how coder and model agree
"""
