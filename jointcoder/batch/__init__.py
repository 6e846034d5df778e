"""The night run: encounters from files → coded records in a folder that survives whatever happens to the process.

    inputs.py       files and folders → encounters with their places, one after the other
    conditions.py   what decides a record: workflow, model, adapters, code books, pack; the identity of a result
    index.py        which id was coded from which content, under which conditions, and where its line stands
    folder.py       results.jsonl, failed.jsonl, manifest.json: appended, repaired, tidied; one run at a time
    work.py         what a worker does with a group of encounters
    executor.py     groups → what became of them: in this process, or by a crew of workers
    processes.py    workers on this machine       ray.py    workers on the nodes of a cluster
    routing.py      auto, review or a question to the physician; calibration.py: from which confidence on
    intake.py       what of an input is to be coded
    run.py          the loop
    report.py       report.json, report.html      merge.py  shards → one folder      watch.py  a folder that fills
    worklist.py     records with their route → the store of the desk

Read them in this order. Nothing here knows a file format, a workflow or the desk.
"""
