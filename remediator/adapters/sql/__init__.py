"""The journal in SQL: one schema and one code path, on SQLite today.

    journal.py        SqlJournal: the async methods of the port; every one is a function from the files below
    writer.py         one thread, one transaction for everybody who waits; inline.py the same without threads
    engine.py         all that is SQLite: pragmas, checkpoints, the process lock (lock.py)
    schema.py         the tables; migrations/ makes them
    alerts.py  remediations.py  episodes.py  reservations.py  events.py  attempts.py  pauses.py  revisions.py
    playbooks.py  outbox.py  retention.py       plain functions over a connection, one topic each

The functions run inside a transaction that somebody else begins and commits. They never commit, never wait and read no
clock, so that the same code serves a thread, a simulation and, later, another database.
"""
