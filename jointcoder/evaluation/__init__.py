"""Measures, their spread, and reports. Start reading at run.py; the measures are in metrics.py.

scored ─► metrics, evidence, calibration, bootstrap ─► report ◄─ run, terms ◄─► predictions
"""
