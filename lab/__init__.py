"""The bench: everything on which attacks are run, judged, recorded and shown.

A map: `network` gives hosts, on a LAN or on loopback; `scene` is the conversation; `screens` is what its people see;
`capture` is what crossed the wire; `referee` says broken or held; `bench` puts them together and makes cells;
`runs` writes the run's folder; `report` shows it; `audits` binds findings to cells; `doctor` says what
this machine can do; `cli` is the command `lab`.

Beside it, `make lan`: `lan_shell` keeps a LAN to sit down at, `lan_hosts` says what is on its hosts, `lan_tmux` opens
the windows; `running` finds such LANs from another terminal, and `lan_verbs` is what can be done with them there.
"""
