"""The questions of the capture lab about one datagram, and about UDP itself. See `lab.question_table`."""

from typing import Final

from lab.answers import Question, Wrong

DATAGRAM: Final = "Look at frame {f.whisper.number}, User Datagram Protocol"
WHISPERED: Final = "no whisper of client 1 is in it."

DATAGRAMS: Final = (
    Question(
        name="payload",
        asks="Client 1's first whisper is a UDP datagram. How many bytes of payload does it carry?",
        right=lambda f: {f.whisper.payload},
        wrong=(
            Wrong(lambda f: [f.whisper.payload + 8], "{n} is the Length in the UDP header, which counts that header."),
            Wrong(
                lambda f: [f.whisper.payload + 28], "{n} is the total length of the IP packet, two headers included."
            ),
            Wrong(lambda f: [len(f.whisper.frame)], "{n} is the whole frame, from Ethernet on."),
            Wrong(
                lambda f: [f.whisper.payload - 8],
                "{n} has the header taken away twice: Wireshark's Len= is the payload already.",
            ),
            Wrong(lambda f: [8], "{n} bytes is the UDP header alone."),
            Wrong(lambda f: [8 * f.whisper.payload], "{n} is right in bits; bytes are asked for."),
            Wrong(
                lambda f: {each.payload for each in [*f.whispers[1:], *f.answers]},
                "{n} is what another whisper carries; the first that client 1 sends is asked for.",
            ),
        ),
        look=DATAGRAM + ": field udp.length, and think of what it counts. The filter is "
        'udp && frame contains "whisper".',
        tshark="-Y 'frame.number == {f.whisper.number}' -T fields -e udp.length",
        tells=lambda f: f"Length says {f.whisper.payload + 8}, 8 of it for the header: {f.whisper.payload} bytes.",
        why="Length counts header and payload (RFC 768), so 8 less than udp.length.",
        about_frame=lambda f: f.whisper,
        applies=lambda f: bool(f.whispers),
        absent=WHISPERED,
    ),
    Question(
        name="udp_fields",
        asks="How many fields does the header of that datagram have?",
        right=lambda f: {4},
        wrong=(
            Wrong(lambda f: [8], "{n} is how many bytes the header has."),
            Wrong(lambda f: [5], "{n} is with the payload, and that is no header field."),
            Wrong(lambda f: [2], "{n} ports, yes; there is more in it."),
            Wrong(lambda f: [3], "{n} is one short: the checksum has its field even where nobody computes it."),
            Wrong(
                lambda f: [6, 7, 9, 10],
                "{n}: what stands in [brackets] in Wireshark it has worked out itself; no bit of it crossed the wire.",
            ),
        ),
        look=DATAGRAM + ": click on each row and see which bytes it lights up below.",
        tells=lambda f: "There are 4: source port, destination port, length, checksum.",
        why="Source port, destination port, length, checksum (RFC 768). TCP needs ten for its promises.",
        applies=lambda f: bool(f.whispers),
        absent=WHISPERED,
    ),
    Question(
        name="field_bytes",
        asks="How many bytes long is each field of a UDP header?",
        right=lambda f: {2},
        wrong=(
            Wrong(lambda f: [16], "{n} is the number of bits."),
            Wrong(lambda f: [8], "{n} bytes are the whole header."),
            Wrong(lambda f: [4], "{n} is how many fields there are; or one row of RFC 768's drawing, which holds two."),
            Wrong(lambda f: [32], "{n} bits are one row of RFC 768's drawing, and it holds two fields."),
            Wrong(lambda f: [1], "{n} byte counts to 255; port numbers go further."),
        ),
        look="Click on a row of a UDP header in Wireshark: the line at the bottom of the window says how many bytes.",
        tells=lambda f: "Each field has 2 bytes, 16 bits.",
        why="16 bits each, four of them: a header of 8 bytes.",
    ),
    Question(
        name="largest_payload",
        asks="How many bytes of payload can a UDP datagram carry at most?",
        right=lambda f: {65507, 65527},
        wrong=(
            Wrong(lambda f: [65535], "{n} is the largest number that 16 bits hold; the length counts a header too."),
            Wrong(
                lambda f: [65536], "{n} is how many numbers 16 bits have; the largest is one less, and counts a header."
            ),
            Wrong(lambda f: [65515], "{n} is what IPv4 can carry, its own header taken off; UDP has one as well."),
            Wrong(lambda f: [65508, 65528], "{n} is one too many: 16 bits end at 65 535, not at 65 536."),
            Wrong(lambda f: [1472, 1500], "{n} belongs to one Ethernet frame; a larger datagram goes as IP fragments."),
            Wrong(lambda f: [1200], "{n} is this lab's own bound for whispers, chosen to stay below any path's MTU."),
            Wrong(lambda f: [512], "{n} is what DNS kept itself to for long (RFC 1035)."),
            Wrong(lambda f: [8 * 65507, 8 * 65527], "{n} is in bits; bytes are asked for."),
        ),
        look="Think of the width of udp.length and of what it counts; then of ip.len, which must hold all of it too.",
        tells=lambda f: "It is 65 507 over IPv4 (65 535 - 20 - 8), and 65 527 for UDP alone (65 535 - 8).",
        why="Both 65 527 and 65 507 are said. UDP's length has 16 bits and counts its header: 65 535 - 8 = 65 527. "
        "IPv4's total length has 16 bits too and counts 20 bytes more: 65 507, which is what sendto() takes here.",
    ),
    Question(
        name="largest_port",
        asks="What is the largest port number?",
        right=lambda f: {65535},
        wrong=(
            Wrong(lambda f: [65536], "{n} is how many there are; counting begins with 0."),
            Wrong(lambda f: [65534], "{n} is not the last one: none is set apart at the end, as with addresses."),
            Wrong(
                lambda f: [1023, 1024], "{n} is where the well-known ports end; above, anybody may listen without root."
            ),
            Wrong(lambda f: [49151, 49152], "{n} is where IANA stops registering; the ports go on for clients."),
            Wrong(lambda f: [32767, 32768], "{n} is for 15 bits; a port has no sign and uses all 16."),
            Wrong(lambda f: [60999], "{n} is the last that Linux gives to clients by itself; others may be asked for."),
            Wrong(lambda f: [255, 256], "{n} is for one byte; a port has two."),
        ),
        look="Think of the width of udp.srcport, in bits, and of the largest number that fits.",
        tells=lambda f: "It is 65 535, two bytes of ones.",
        why="2^16 - 1. Port 0 is a number too, but nobody can send from it and hope for an answer.",
    ),
    Question(
        name="protocol",
        asks="By which number does the IP header say that UDP follows? (Decimal, or hexadecimal with 0x.)",
        right=lambda f: {17},
        wrong=(
            Wrong(lambda f: [11], "{n} is written in hexadecimal; put 0x before it, or convert it."),
            Wrong(lambda f: [6], "{n} is TCP."),
            Wrong(lambda f: [1], "{n} is ICMP."),
            Wrong(lambda f: [4], "{n} is the version of IP, in the first byte."),
            Wrong(lambda f: [0x0800], "{n} (0x0800) is Ethernet's number for IPv4, one layer down."),
            Wrong(lambda f: [0x45], "{n} (0x45) is the first byte of the IP header: version 4, five words of 32 bits."),
            Wrong(lambda f: [64], "{n} is the time to live, one byte before."),
        ),
        look=DATAGRAM.replace("User Datagram Protocol", "Internet Protocol Version 4, Protocol, field ip.proto."),
        tshark="-Y 'frame.number == {f.whisper.number}' -T fields -e ip.proto",
        lab="",
        tells=lambda f: "It is 17, 0x11.",
        why="IANA keeps the list; /etc/protocols has a copy.",
        about_frame=lambda f: f.whisper,
        applies=lambda f: bool(f.whispers),
        absent=WHISPERED,
    ),
)
