"""The ground floor: plumbing that every stage stands on, and no security decision.

A map, from the bottom up:

    errors      LabError: one sentence and a next step, never a traceback
    limits      how much a peer may ask of us
    text        names, and what may reach a person's terminal
    messages    the messages that all stages share
    wire        bytes <-> messages: newline-delimited JSON, typed and validated
    session     what a session answers: effects, and nothing else
    room        who is there
    places      who may be connected to a server, and who gives way
    slow_work   password hashing, beside the event loop and in turns
    hosts       a host makes sockets; `loopback` and `lan` are the two networks
    lan_enter   runs a program on a host of a LAN that another program keeps
    lan_levers  what the LAN can do against those who want to be on the path
    dns         the lab's own names (server.lab.test)
    ring        frames from a busy network card, without loss
    turn        what is said to a room in one turn of the event loop
    runtime     moves bytes between sockets and sessions, in one event loop: the server's side
    whispers    a client's UDP port, with a queue for each member
    client      the client's side of the same
    threads     the same in the way of every first tutorial (a what-if)
    terminal    what a person sees and types
    levers      named security decisions, and how `LEVERS=` is read
"""
