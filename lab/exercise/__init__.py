"""Exercises graded by attacks: a learner writes a stage's lever, and the stage's attacks say whether it holds.

A map. On the bench's side, where the network, the attackers, the screens and the referee are:

    declared    what each exercise asks for: blanks, requirements, hints (stageN.toml)
    workspace   lays out work/stageN: the stage before, and the lever's files with bodies to be written
    check       honest scene, attacks, known answers: an Outcome
    scene       the scene, with people whose programs are the learner's
    nursery     starts the child process, and has programs forked in it
    program     speaks with one of them
    probes*     what is asked of the learner's code directly; the answers are compared here
    sealed_how  what differs, where something was sealed otherwise than it should be
    crashes     what helps whose code raised an error that nobody foresaw
    shown       an Outcome as a person reads it
    solution    the way to the reference, as a diff

On the learner's side, in a child process that holds nothing of the former:

    child       forks a program for each person, and never runs a line of the learner's itself
    person      that program: imports the learner's package; its sessions on the ordinary runtime
    jail        its limits, and where they can be had namespaces and a view of files of its own
    syscalls    what it may not ask the kernel for
    calls       calls single functions of the learner's, and hands back what they return
    lines       what the two sides may say to each other
"""
