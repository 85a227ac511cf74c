"""`remediator test`: what playbooks do, told as short stories in YAML and played on the simulated cluster.

    model            how a file of stories is written, with times, placed (objects), acting (operators, what others
                     answer), expecting and written below it
    reading          from the text of a file to stories, or to everything that is wrong with it
    virtual_loop     time that jumps to whatever happens next
    prometheus       what a story says is measured
    alertmanager     what people have silenced
    people_there     chat and pager that keep what they were told
    stage            the service with everything outside of it simulated
    placing          short forms of objects as manifests
    filling          what a story cannot know when it is written
    happenings       what the story lets happen
    operators        what operators do when something happens
    outside          what databases, endpoints and processes answer
    record           what came of it
    expectations     what was expected of it, and where that differs
    running          one story from beginning to end
    schema           JSON Schema of the files

Everything between the webhook and the cluster is the real thing: core, journal on SQLite, guardrails, outbox.
"""
