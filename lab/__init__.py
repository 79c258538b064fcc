"""The bench: everything on which attacks are run, judged, recorded and shown.

A map: `network` gives hosts, on a LAN or on loopback; `scene` is the conversation; `screens` is what its people see;
`capture` is what crossed the wire; `referee` says broken or held; `bench` puts them together and makes cells;
`runs` writes the run's folder; `report` shows it; `doctor` says what
this machine can do; `cli` is the command `lab`.

Of the audits: `findings` reads their findings, with `scores` and `source_lines`; `audit_blocks` finds what a machine
writes, and `evidence`, `message_fields` and `audit_tables` make it; `audits` writes the pages, `audit_page` shows one.

Beside it, `make lan`: `lan_shell` keeps a LAN to sit down at, `lan_hosts` says what is on its hosts, `lan_tmux` opens
the windows; `running` finds such LANs from another terminal, and `lan_verbs` is what can be done with them there.
"""
