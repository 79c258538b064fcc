"""`make help`, and bare `make`."""

TEXT = """The Progressive Security Lab: a chat room, built again and again, attacked and judged.

  make stage-1 demo                 the narrated scene, every attack, the verdicts, where to go next
  make stage-1 attack               every attack against the stage
  make stage-1 sniffer              one attack (also impersonation, mitm, replay, spoofed_whisper …)
  make stage-1 capture              the capture lab: a conversation, as two network cards heard it
  make stage-1 questions            what is in that capture? every answer is checked against it (FILE=)
  make stage-1 quiz                 the handout's questions; what is right is remembered (PART= QUESTION= AGAIN=1)
  make stage-1 hint                 a hint for the question or exercise you are at, or QUESTION=; each time a better one
  make stage-1 report               the two-page lab report from your last capture (FILE=, ARGS="--html --measure")
  make stage-1 audit                the written audit
  make stage-1 server               by hand: the server (LISTEN= PORT= MAX=)
  make stage-1 client NAME=alice    by hand: a client (SERVER=; from stage 2 on REGISTER=1 PASSWORD_FILE=;
                                    from stage 4 on CA=; at 3 and 4 with LEVERS="key_exchange=passphrase"
                                    PASSPHRASE_FILE=)
  make stage-3 exercise             a workspace in work/stage3/: the lever is yours to write (ATTACHED=1 FRESH=1)
  make stage-3 check                your code as the stage: conversation, attacks, known answers (FILE=)
  make stage-3 solution             the way to the reference, once it passes (GIVE_UP=1)
  make stage-1 test                 the stage's tests

  make progress                     how far you have come: demos, attacks, quiz, exercises
  make hint                         a hint, wherever you are
  make lan                          the lab's hosts to sit down at: a shell on each, stage 1 running (tmux)
  make stage-3 lan                  the same with another stage; .venv/bin/lab exec alice -- COMMAND runs one command
  make matrix                       every attack against every stage; ABLATIONS=1 runs each again, levers turned
                                    (FAMILY=dos: denial of service, a quarter of an hour, on Linux)
  make field                        the same kit turned on IRC, as ngircd serves it (ATTACK=mitm: one attack)
  make diff FROM=2 TO=3             what a stage changes: the lesson, in colour
  make wireshark                    the last run's capture in Wireshark, with the lab's dissector (FILE=)
  make flow                         the same capture drawn, as a sequence diagram (FILE=)
  make crack FILE=accounts.sqlite   guess the passwords in a stolen database, on all cores (ARGS="--words LIST")
  make doctor                       which network can be had here, why not the other, the ways round
  make test                         all tests
  make check                        lint, types, import rules
  make faults                       for a night: kills, damaged files, full disks, clocks, cables (SEED=)
  make soak                         a room of 200 for ten minutes, faults all around (MINUTES= ARGS="--stage 3")
  make fuzz                         a million made-up inputs for every parser (ARGS="--seconds 600")
  make mutants                      the levers and the referee broken in small ways: does a test notice?
  make audit-deps                   what is known against the locked packages; make licences lists theirs
  make audits                       run the audits' evidence again
  make bench                        how fast it is, against others; writes benchmarks/README.md (ARGS="brokers": some)
  make bench-levers                 what each lever costs: a table and a picture (ARGS="--stage 3")
  make handouts                     write the questions of each quiz.toml into its handout
  make grade FILE=FOLDER            for instructors: grade submissions (ARGS="--stage 3"); see INSTRUCTORS.md
  make clean                        remove .venv, runs/ and caches

  make stage-3 mitm VIA=arp_spoofing    how Mallory gets on the path (also dns_spoofing, gateway)
  make stage-1 arp_spoofing SLOW=1      every step explained, at reading pace (also the other two)
  make stage-1 sniffer LAN=switch       who hears a frame: hub, or switch

Levers of the LAN: arp=static, arp_inspection=on (the switch drops forged ARP), dns=pinned-answer, lan=hub|switch.
NETWORK=lan|loopback chooses the network, LEVERS="framing=none" asks what if, ARGS="-v --json" adds options.
The same verbs are one command: .venv/bin/lab --help."""
